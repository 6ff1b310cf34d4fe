import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Code, decodeBinaryHeader, encodeBinaryHeader } from '@connectrpc/connect';
import { TRANSPORTS } from '../../src/gateway/upstream/transport.ts';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { SENT_HEADER, SENT_TRAILER } from '../support/conformance-service.ts';
import { GRPC_SERVERS, type GrpcServer } from '../support/grpc-servers.ts';
import { failureOf, isOnNodeHttp2, openTransport, type TransportUnderTest } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const CODES = Object.values(Code).filter((code) => typeof code === 'number');
const MEGABYTE = 1_000_000;

for (const kind of GRPC_SERVERS) {
  describe(`unary calls to ${kind.name}`, { skip: kind.skip }, () => {
    let server: GrpcServer;
    before(async () => {
      server = await kind.start({});
    });
    after(() => server.close());
    for (const name of TRANSPORTS) describe(`over ${name}`, () => testUnaryCalls(name, () => server.port));
  });
}

function testUnaryCalls(name: (typeof TRANSPORTS)[number], port: () => number): void {
  let over: TransportUnderTest;
  before(async () => {
    over = await openTransport(name, { port: port() });
  });
  after(() => over.close());

  it('are answered, as a message and as bytes', async () => {
    assert.equal((await over.get({ text: 'hällo' })).id, 'hällo');
    assert.equal((await over.getBytes({ text: 'hällo' })).id, 'hällo');
  });

  it('may be empty both ways', async () => {
    assert.equal((await over.get('')).id, '');
    assert.equal((await over.getBytes({})).id, '');
  });

  it('may be large both ways', async () => {
    assert.equal((await over.get({ text: 'y'.repeat(MEGABYTE) })).id, 'y'.repeat(MEGABYTE));
    assert.equal((await over.get({ size: 20 * MEGABYTE })).id.length, 20 * MEGABYTE);
    assert.equal((await over.getBytes({ size: 2 * MEGABYTE })).id.length, 2 * MEGABYTE);
  });

  it('carry metadata both ways', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    let header = new Headers();
    let trailer = new Headers();
    const labels = await over
      .labels(
        { metadata: true },
        {
          headers: { 'x-one': 'a b; c="d"', 'x-raw-bin': encodeBinaryHeader(bytes) },
          onHeader: (fields) => {
            header = fields;
          },
          onTrailer: (fields) => {
            trailer = fields;
          },
        },
      )
      .catch((error) => error);
    assert.equal(labels['x-one'], 'a b; c="d"');
    assert.deepEqual(new Uint8Array(decodeBinaryHeader(labels['x-raw-bin'] ?? '')), bytes);
    assert.equal(header.get('x-head'), SENT_HEADER.text);
    assert.deepEqual(Buffer.from(decodeBinaryHeader(header.get('x-head-bin') ?? '')), SENT_HEADER.bytes);
    assert.equal(trailer.get('x-tail'), SENT_TRAILER.text);
    assert.deepEqual(Buffer.from(decodeBinaryHeader(trailer.get('x-tail-bin') ?? '')), SENT_TRAILER.bytes);
  });

  it('fail with each code, its message and its details', async () => {
    for (const code of CODES) {
      const message = `50% of ünïcode, line\nbreak, ${code}`;
      const error = await failureOf(over.get({ code, message, reason: 'A_REASON' }));
      assert.deepEqual([error.code, error.rawMessage], [code, message]);
      assert.deepEqual(
        error.findDetails(ErrorInfoSchema).map(({ reason, domain }) => [reason, domain]),
        [['A_REASON', 'foldforge']],
      );
      assert.equal(error.metadata.get('grpc-status'), String(code), 'what tells an answer from a broken connection');
      const asBytes = await failureOf(over.getBytes({ code, message: '' }));
      assert.deepEqual([asBytes.code, asBytes.rawMessage], [code, '']);
    }
  });

  it('fail with the metadata of the trailer', async () => {
    const error = await failureOf(over.get({ code: Code.Aborted, metadata: true }));
    assert.equal(error.metadata.get('x-tail'), SENT_TRAILER.text);
  });

  it('tell the server their deadline', async () => {
    const left = Number((await over.labels({ metadata: true }, { timeoutMs: 60_000 }))['time-left-ms']);
    assert.ok(left > 30_000 && left <= 60_000, `${left}`);
    assert.equal((await over.labels({ metadata: true }))['time-left-ms'], undefined);
  });

  it('tell the server a deadline of days', {
    skip: isOnNodeHttp2(name) && 'connect writes more than eight digits, which servers refuse',
  }, async () => {
    const long = Number((await over.labels({ metadata: true }, { timeoutMs: 400_000_000 }))['time-left-ms']);
    assert.ok(long > 399_900_000 && long <= 400_000_000, `${long}`);
  });

  it('end at their deadline, and the server stops', async () => {
    const key = `deadline of ${name}`;
    const error = await within('the deadline', failureOf(over.get({ key, hang: true }, { timeoutMs: 500 })));
    // The server's deadline may come first, and grpc-go's is a reset: only the time tells what it means.
    const known = isOnNodeHttp2(name)
      ? [Code.DeadlineExceeded, Code.Canceled, Code.Unavailable]
      : [Code.DeadlineExceeded];
    assert.ok(known.includes(error.code), `${error}`);
    await over.untilCancelled(key);
    const tight = await within('a tight one', failureOf(over.get({ hang: true }, { timeoutMs: 1 })));
    assert.ok(known.includes(tight.code), `${tight}`);
  });

  it('are not sent when they were cancelled before', async () => {
    const key = `cancelled before, by ${name}`;
    const error = await failureOf(over.get({ key }, { signal: AbortSignal.abort() }));
    assert.equal(error.code, Code.Canceled);
    assert.equal((await over.stats(key)).began ?? '0', '0');
  });

  it('may be cancelled, and the server stops', async () => {
    const key = `cancelled by ${name}`;
    const cancel = new AbortController();
    const call = failureOf(over.get({ key, hang: true }, { signal: cancel.signal }));
    await until('it has begun', async () => (await over.stats(key)).began === '1');
    cancel.abort();
    assert.equal((await within('the end', call)).code, Code.Canceled);
    await over.untilCancelled(key);
  });

  it('refuse an answer that is too large, and keep the connection', async () => {
    const small = await openTransport(name, { port: port(), readMaxBytes: 100_000 });
    const peer = await small.peer();
    assert.equal((await small.get({ size: 99_000 })).id.length, 99_000);
    for (const size of [100_001, MEGABYTE]) {
      assert.equal((await failureOf(small.get({ size }))).code, Code.ResourceExhausted);
      assert.equal((await failureOf(small.getBytes({ size }))).code, Code.ResourceExhausted);
    }
    assert.equal(await small.peer(), peer);
    small.close();
  });

  it('never get one another’s answers', async () => {
    const calls = isOnNodeHttp2(name) ? 200 : 500;
    const sizes = Array.from({ length: calls }, (_, index) => (index * 7_919) % 10_000);
    const answers = await Promise.all(sizes.map((size, index) => over.get({ text: `${index}:`, size })));
    for (const [index, { id }] of answers.entries()) assert.equal(id, `${index}:${'x'.repeat(sizes[index]!)}`);
  });

  it('go on after close was called on another transport, and fail after their own', async () => {
    const other = await openTransport(name, { port: port() });
    await other.get({});
    const open = failureOf(other.get({ hang: true }));
    other.close();
    await within('the open call ends', open);
    assert.equal((await over.get({ text: 'still' })).id, 'still');
  });
}
