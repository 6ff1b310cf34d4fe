import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Code } from '@connectrpc/connect';
import { TRANSPORTS } from '../../src/gateway/upstream/transport.ts';
import { SENT_HEADER, SENT_TRAILER } from '../support/conformance-service.ts';
import { GRPC_SERVERS, type GrpcServer } from '../support/grpc-servers.ts';
import {
  drainNumbers,
  failureOf,
  isOnNodeHttp2,
  openTransport,
  type TransportUnderTest,
} from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const BOUND_MS = 15_000;

for (const kind of GRPC_SERVERS) {
  describe(`streams from ${kind.name}`, { skip: kind.skip }, () => {
    let server: GrpcServer;
    before(async () => {
      server = await kind.start({});
    });
    after(() => server.close());
    for (const name of TRANSPORTS) describe(`over ${name}`, () => testStreams(name, () => server.port));
  });
}

function testStreams(name: (typeof TRANSPORTS)[number], port: () => number): void {
  // The others are known to keep the order; they take their time.
  const messages = isOnNodeHttp2(name) ? 2_000 : 10_000;
  let over: TransportUnderTest;
  before(async () => {
    over = await openTransport(name, { port: port() });
  });
  after(() => over.close());

  it('bring every message in order', async () => {
    const events = over.stream({ count: messages, size: 30 });
    const numbers = await within('the end', drainNumbers(events), BOUND_MS);
    assert.equal(numbers.length, messages);
    assert.ok(numbers.every((number, index) => number === index + 1));
  });

  it('may be empty, and carry metadata', async () => {
    assert.deepEqual(await drainNumbers(over.stream({})), []);
    const fields: (string | null)[] = [];
    const options = {
      onHeader: (header: Headers) => fields.push(header.get('x-head')),
      onTrailer: (trailer: Headers) => fields.push(trailer.get('x-tail')),
    };
    assert.deepEqual(await drainNumbers(over.stream({ count: 2, metadata: true }, options)), [1, 2]);
    assert.deepEqual(fields, [SENT_HEADER.text, SENT_TRAILER.text]);
  });

  it('bring a message of many frames', async () => {
    // More than the window of a stream.
    const size = 3_000_000;
    const events = over.stream({ count: 2, size });
    for (const _ of [1, 2]) assert.equal((await within('a message', events.next())).value?.workflowId.length, size);
    assert.equal((await events.next()).done, true);
  });

  it('fail after their messages', async () => {
    const events = over.stream({ count: 3, code: Code.DataLoss, message: 'the disk is gone' });
    for (const number of [1n, 2n, 3n]) assert.equal((await events.next()).value?.eventId, number);
    const error = await failureOf(events.next());
    assert.deepEqual([error.code, error.rawMessage], [Code.DataLoss, 'the disk is gone']);
    assert.equal(error.metadata.get('grpc-status'), String(Code.DataLoss));
  });

  it('fail at once', async () => {
    const error = await failureOf(over.stream({ code: Code.NotFound, message: 'no such id' }).next());
    assert.deepEqual([error.code, error.rawMessage], [Code.NotFound, 'no such id']);
  });

  it('hold the server back while nobody reads, and not the other calls', async () => {
    const key = `slow reader over ${name}`;
    const events = over.stream({ key, count: 150, size: 100_000 });
    await events.next();
    let sent = -1;
    await until('the server is held back', async () => {
      const before = sent;
      await delay(100);
      sent = Number((await over.stats(key)).sent);
      return sent === before;
    });
    // 15 MB are to come. What servers buffer themselves is theirs; ours is a window.
    assert.ok(sent < 75, `the server has sent ${sent} messages of 100 kB`);
    assert.equal((await within('a call next to it', over.get({ size: 300_000 }))).id.length, 300_000);
    assert.equal((await within('the rest', drainNumbers(events), BOUND_MS)).at(-1), 150);
  });

  it('may be left in the middle, and the server stops', async () => {
    const key = `left by ${name}`;
    const leave = new AbortController();
    const events = over.stream({ key, count: 5, hang: true }, { signal: leave.signal });
    for (let number = 1; number <= 5; number++) await events.next();
    const next = failureOf(events.next());
    leave.abort();
    assert.equal((await within('the end', next)).code, Code.Canceled);
    await over.untilCancelled(key);
  });

  it('may be left while the server is sending, and the connection goes on', async () => {
    const key = `left early by ${name}`;
    const peer = await over.peer();
    const leave = new AbortController();
    const events = over.stream({ key, count: messages, size: 10_000 }, { signal: leave.signal });
    await events.next();
    leave.abort();
    await over.untilCancelled(key);
    assert.equal(await over.peer(), peer);
    // What was thrown away counted against the connection's window.
    assert.equal((await drainNumbers(over.stream({ count: 20, size: 100_000 }))).length, 20);
  });

  it('end when the loop over them does', async () => {
    const key = `broken off by ${name}`;
    const workflowId = new URLSearchParams({ key, count: '1', hang: '1' }).toString();
    const stop = new AbortController();
    for await (const event of over.client.streamWorkflowEvents({ workflowId }, { signal: stop.signal })) {
      assert.equal(event.eventId, 1n);
      break;
    }
    // Only an abort frees what stands behind connect's iterable.
    stop.abort();
    await over.untilCancelled(key);
  });

  it('end at their deadline', async () => {
    const key = `deadline of a stream over ${name}`;
    const events = over.stream({ key, count: 1, hang: true }, { timeoutMs: 500 });
    const outcome = async () => {
      await events.next();
      await events.next();
    };
    const error = await within('the deadline', failureOf(outcome()));
    // The server's deadline may come first, and grpc-go's is a reset: only the time tells what it means.
    const known = isOnNodeHttp2(name)
      ? [Code.DeadlineExceeded, Code.Canceled, Code.Unavailable]
      : [Code.DeadlineExceeded];
    assert.ok(known.includes(error.code), `${error}`);
    await over.untilCancelled(key);
  });

  it('refuse a message that is too large', async () => {
    const small = await openTransport(name, { port: port(), readMaxBytes: 50_000 });
    const error = await failureOf(small.stream({ count: 1, size: 60_000 }).next());
    assert.equal(error.code, Code.ResourceExhausted);
    assert.equal((await drainNumbers(small.stream({ count: 3, size: 40_000 }))).length, 3);
    small.close();
  });
}
