import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { ConnectError } from '@connectrpc/connect';
import type { TransportName } from '../../src/gateway/upstream/transport.ts';
import { answerTo, type RawCall, serveHonestly, takeCalls } from './raw-grpc.ts';
import { type RawPeer, startRawHttp2Server } from './raw-http2-server.ts';
import { failureOf, gatewayCode, openTransport } from './transport-under-test.ts';
import { within } from './waiting.ts';

/** The transport whose frames are ours. */
export const SUBJECT: TransportName = 'direct';
const BOUND_MS = 10_000;

/** The transport, and a server that serves its connections so. Closes both when the test ends. */
export async function connectRaw(
  test: TestContext,
  serve: Parameters<typeof startRawHttp2Server>[0],
  { keepaliveMs, ...options }: Parameters<typeof startRawHttp2Server>[1] & { keepaliveMs?: number } = {},
) {
  const server = await startRawHttp2Server(serve, options);
  const over = await openTransport(SUBJECT, { port: server.port, ...(keepaliveMs !== undefined && { keepaliveMs }) });
  test.after(async () => {
    over.close();
    await server.close();
  });
  return { server, over };
}

/** What a server sends while two calls wait for their answers, as frames, or by itself. */
export type Deed = (
  calls: readonly [first: RawCall, second: RawCall],
  peer: RawPeer,
) => Promise<unknown> | readonly Buffer[];

/** Two calls on one connection to a server that does the deed, and behaves well on all other connections. */
async function openScene(test: TestContext, deed: Deed, isTrickling = false) {
  let show: (shown: { peer: RawPeer; calls: readonly [RawCall, RawCall] }) => void;
  const shown = new Promise<{ peer: RawPeer; calls: readonly [RawCall, RawCall] }>((resolve) => {
    show = resolve;
  });
  const { server, over } = await connectRaw(test, async (peer, index) => {
    if (index > 0) return serveHonestly(peer);
    const calls = (await takeCalls(peer, 2)) as [RawCall, RawCall];
    const done = deed(calls, peer);
    if (!(done instanceof Promise)) await (isTrickling ? peer.trickle(...done) : peer.send(...done));
    await done;
    show({ peer, calls });
  });
  const outcomes = [over.get('first'), over.get('second')] as const;
  // The tests look at them later, or not at all.
  for (const outcome of outcomes) outcome.catch(() => {});
  return { server, over, outcomes, ...(await within('the deed', shown, BOUND_MS)) };
}

type Scene = Awaited<ReturnType<typeof openScene>>;

async function assertNextCall({ over, server }: Scene, connections: number): Promise<void> {
  assert.equal((await within('the next call', over.get('next', { timeoutMs: 3_000 }))).id, 'next');
  assert.equal(server.peers.length, connections, 'connections');
}

/** The deed answers the first call, somehow. Nothing happens to it, to the second call, or to the connection. */
export async function assertTolerated(
  test: TestContext,
  deed: Deed,
  { isTrickling = false, hasHeader = false } = {},
): Promise<void> {
  const scene = await openScene(test, deed, isTrickling);
  const { peer, calls, outcomes } = scene;
  assert.equal((await within('the first call', outcomes[0])).id, 'first');
  // The header may have been sent by the deed.
  peer.send(...answerTo(calls[1]).slice(hasHeader ? 1 : 0));
  assert.equal((await within('the second call', outcomes[1])).id, 'second');
  serveHonestly(peer, calls);
  await assertNextCall(scene, 1);
}

/** The deed ends the first call alone, with RST_STREAM of this code. Resolves with how it failed. */
export async function assertStreamError(test: TestContext, deed: Deed, code: number): Promise<ConnectError> {
  const scene = await openScene(test, deed);
  const { peer, calls, outcomes } = scene;
  assert.equal(await peer.resetCode(calls[0].streamId), code, 'the code of RST_STREAM');
  const error = await within('the first call', failureOf(outcomes[0]));
  peer.send(...answerTo(calls[1]));
  assert.equal((await within('the second call', outcomes[1])).id, 'second');
  serveHonestly(peer, calls);
  await assertNextCall(scene, 1);
  return error;
}

/**
 * The deed ends the connection, with GOAWAY of this code, and the calls with it. The next call goes over another one.
 * Resolves with how the calls failed.
 */
export async function assertConnectionError(
  test: TestContext,
  deed: Deed,
  code: number,
  { lost = [0, 1], mayMissGoAway = false }: { lost?: readonly (0 | 1)[]; mayMissGoAway?: boolean } = {},
): Promise<ConnectError[]> {
  const scene = await openScene(test, deed);
  const { peer, outcomes } = scene;
  // TCP throws the last words of a side away that closes while it has something to read.
  if (!mayMissGoAway) assert.equal(await peer.goAwayCode(), code, 'the code of GOAWAY');
  await peer.closed();
  const errors: ConnectError[] = [];
  for (const call of lost) {
    const error = await within('a call on the lost connection', failureOf(outcomes[call]));
    assert.equal(gatewayCode(error), 'UNAVAILABLE', `${error}`);
    errors.push(error);
  }
  await assertNextCall(scene, 2);
  return errors;
}
