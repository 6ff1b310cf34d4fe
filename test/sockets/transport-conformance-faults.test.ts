import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Code, type ConnectError } from '@connectrpc/connect';
import { TRANSPORTS, type TransportName } from '../../src/gateway/upstream/transport.ts';
import { startBlackhole } from '../support/blackhole.ts';
import { FAULTS, type Fault, type Outcome } from '../support/grpc-faults.ts';
import { serveHonestly, takeCall } from '../support/raw-grpc.ts';
import { startRawHttp2Server } from '../support/raw-http2-server.ts';
import { failureOf, gatewayCode, isOnNodeHttp2, openTransport } from '../support/transport-under-test.ts';
import { within } from '../support/waiting.ts';

/** For a call that is answered, on a machine that is busy with other tests. */
const PATIENT_MS = 20_000;

for (const name of TRANSPORTS) {
  describe(`broken answers over ${name}`, { concurrency: 4 }, () => {
    for (const fault of FAULTS) it(`fail: ${fault.name}`, (test) => testFault(name, fault, test));
  });

  describe(`servers that are none, over ${name}`, { concurrency: 4 }, () => {
    it('fail a call at its deadline, when they never speak', async (test) => {
      const error = await callTo(name, () => {}, test, 100);
      assert.deepEqual([error.code, gatewayCode(error)], [Code.DeadlineExceeded, 'DEADLINE_EXCEEDED']);
    });

    it('let go of a call at its deadline, and when nobody wants it, while a connection is made', async (test) => {
      const nowhere = await startBlackhole();
      const over = await openTransport(name, { host: '127.0.0.1', port: Number(new URL(nowhere.url).port) });
      test.after(async () => {
        over.close();
        await nowhere.close();
      });
      const cancel = new AbortController();
      const cancelled = failureOf(over.get('x', { signal: cancel.signal }));
      const late = await within('the deadline', failureOf(over.get('x', { timeoutMs: 100 })), 4_000);
      assert.deepEqual([late.code, gatewayCode(late)], [Code.DeadlineExceeded, 'DEADLINE_EXCEEDED']);
      cancel.abort();
      assert.equal((await within('the end', cancelled)).code, Code.Canceled);
    });

    for (const [what, talk] of [
      ['speak HTTP/1.1', (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno\n')],
      [
        'speak first, and something else',
        (socket: Socket) => socket.write('220 mail.example ESMTP ready, and waiting\r\n'),
      ],
      ['hang up at once', (socket: Socket) => socket.end()],
      ['break the connection at once', (socket: Socket) => socket.resetAndDestroy()],
    ] as const) {
      it(`are unavailable, when they ${what}`, async (test) => {
        const error = await callTo(name, talk, test);
        assert.equal(gatewayCode(error), 'UNAVAILABLE', `${error}`);
        if (!isOnNodeHttp2(name)) assert.equal(error.code, Code.Unavailable);
      });
    }
  });
}

async function testFault(name: TransportName, fault: Fault, test: TestContext): Promise<void> {
  const server = await startRawHttp2Server(async (peer, index) => {
    if (index > 0) return serveHonestly(peer);
    const call = await takeCall(peer);
    peer.send(...fault.answer(call));
    if (fault.endsConnection) peer.end();
    serveHonestly(peer, [call]);
  });
  const over = await openTransport(name, server);
  test.after(async () => {
    over.close();
    await server.close();
  });
  const hangs = isOnNodeHttp2(name) && fault.mayHang;
  const call = over.get('first', { timeoutMs: hangs ? 150 : PATIENT_MS });
  const outcome = await within(
    'the first call',
    Promise.resolve(call.catch((error: unknown) => error)),
    2 * PATIENT_MS,
  );
  if (outcome instanceof Error) assertFailure(name, fault, await failureOf(call));
  else assert.ok(fault.mayBeRepeated && (await call).id === 'first', 'the call failed, or was made again');
  assert.equal((await within('the next call', over.get('next', { timeoutMs: PATIENT_MS }), 2 * PATIENT_MS)).id, 'next');
  if (!fault.endsConnection) assert.equal(server.peers.length, 1, 'the connection goes on');
}

function assertFailure(name: TransportName, { outcome, known = [] }: Fault, error: ConnectError): void {
  const actual: Outcome = [error.code, gatewayCode(error)];
  if (isOnNodeHttp2(name) && known.some((other) => isDeepStrictEqual(actual, other))) return;
  assert.deepEqual(actual, outcome, `${error}`);
}

/** The failure of a call to a server that does so with each connection. */
async function callTo(
  name: TransportName,
  talk: (socket: Socket) => unknown,
  test: TestContext,
  timeoutMs = PATIENT_MS,
): Promise<ConnectError> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.resume();
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const over = await openTransport(name, server.address() as AddressInfo);
  test.after(() => {
    over.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return within('the failure', failureOf(over.get('x', { timeoutMs })), 2 * PATIENT_MS);
}
