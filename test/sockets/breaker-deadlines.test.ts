import assert from 'node:assert/strict';
import dns from 'node:dns/promises';
import { syncBuiltinESMExports } from 'node:module';
import { describe, it, mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code } from '@connectrpc/connect';
import { ERROR, FRAME, rstStream, settings } from '../support/h2-frames.ts';
import { connectRaw, SUBJECT } from '../support/http2-scene.ts';
import { onCall, type RawCall, serveHonestly } from '../support/raw-grpc.ts';
import { startRawHttp2Server } from '../support/raw-http2-server.ts';
import { failureOf, openTransport } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const PATIENT_MS = 20_000;

describe('a call that waits in line', () => {
  it('is never seen by the server when its time is up, or its caller has gone', async (test) => {
    const calls: RawCall[] = [];
    const blocks: string[] = [];
    const { server, over } = await connectRaw(
      test,
      (peer) => {
        onCall(peer, (call) => calls.push(call));
        peer.onFrame(({ type, payload }) => type === FRAME.headers && blocks.push(payload.toString('latin1')));
        serveHonestly(peer);
      },
      // Before its SETTINGS a server may say nothing, not even that it has ours.
      { settings: false, acknowledges: false },
    );
    const caller = new AbortController();
    const late = failureOf(over.get('late', { timeoutMs: 200 }));
    const cancelled = failureOf(over.get('cancelled', { signal: caller.signal }));
    const patient = over.get('patient', { timeoutMs: PATIENT_MS });
    await until('it is connected', () => server.peers.length === 1);
    caller.abort();
    assert.equal((await cancelled).code, Code.Canceled);
    assert.equal((await late).code, Code.DeadlineExceeded);
    server.peers[0]!.send(settings([]));
    assert.equal((await patient).id, 'patient');
    assert.deepEqual(
      calls.map(({ text }) => text),
      ['patient'],
    );
    assert.equal(blocks.length, 1);
    const [, told] = /grpc-timeout.(\d+)m/.exec(blocks[0]!)!;
    assert.ok(Number(told) <= PATIENT_MS - 50, `the server is told that there are ${told} ms`);
  });
});

describe('calls that a server refuses', () => {
  it('are made again for a tenth of them, and ten', async (test) => {
    let streams = 0;
    const { over } = await connectRaw(test, (peer) =>
      peer.onFrame(({ type, streamId }) => {
        if (type !== FRAME.headers) return;
        streams++;
        peer.send(rstStream(streamId, ERROR.refusedStream));
      }),
    );
    const times = 200;
    for (let index = 0; index < times; index++) {
      assert.equal((await failureOf(over.get(`${index}`))).code, Code.Unavailable);
    }
    assert.ok(streams > times && streams <= times * 1.1 + 10, `${streams} streams for ${times} calls`);
  });
});

describe('a name that nobody answers for', () => {
  it('fails calls in three seconds, then at once, is asked for once, and used when it is found', async (test) => {
    const answer = Promise.withResolvers<readonly { address: string; family: number }[]>();
    let lookups = 0;
    mock.method(dns, 'lookup', () => {
      lookups++;
      return answer.promise;
    });
    syncBuiltinESMExports();
    test.after(() => {
      mock.restoreAll();
      syncBuiltinESMExports();
    });
    const server = await startRawHttp2Server((peer) => serveHonestly(peer), { host: '127.0.0.1' });
    const over = await openTransport(SUBJECT, { host: 'slow.test', port: server.port });
    test.after(async () => {
      over.close();
      await server.close();
    });

    const startedAt = performance.now();
    const first = failureOf(over.get('first', { timeoutMs: 10_000 }));
    assert.equal((await within('the first call', first, 9_000)).code, Code.Unavailable);
    assert.ok(performance.now() - startedAt >= 2_900);
    for (let index = 0; index < 3; index++) {
      const error = failureOf(over.get('next', { timeoutMs: 10_000 }));
      assert.equal((await within('the next call', error, 2_500)).code, Code.Unavailable);
      // Names are asked for once a second at most.
      await sleep(400);
    }
    assert.equal(lookups, 1, 'each question keeps a thread busy');
    answer.resolve([{ address: '127.0.0.1', family: 4 }]);
    await until('it is asked', () =>
      over.get('on').then(
        () => true,
        () => false,
      ),
    );
  });
});
