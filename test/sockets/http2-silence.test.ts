import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import { FLAG, FRAME } from '../support/h2-frames.ts';
import { connectRaw, SUBJECT } from '../support/http2-scene.ts';
import { serveHonestly } from '../support/raw-grpc.ts';
import type { RawPeer } from '../support/raw-http2-server.ts';
import { failureOf, gatewayCode, openTransport } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const isPing = ({ type, flags }: { type: number; flags: number }) => type === FRAME.ping && !(flags & FLAG.ack);
/** More than the transport waits for a connection, and for the answer to a PING after a call that was in vain. */
const BOUND_MS = 9_000;

describe('direct', { concurrency: 4 }, () => {
  it('asks whether a silent server is there while it waits for it, and not else', async (test) => {
    const { server, over } = await connectRaw(test, () => {}, { keepaliveMs: 50 });
    const cancel = new AbortController();
    const call = failureOf(over.get('a', { signal: cancel.signal }));
    await until('PINGs', () => (server.peers[0]?.received.filter(isPing).length ?? 0) >= 3);
    cancel.abort();
    await call;
    await server.peers[0]!.roundTrip();
    const pings = server.peers[0]!.received.filter(isPing).length;
    await assert.rejects(
      until('no more PINGs', () => server.peers[0]!.received.filter(isPing).length > pings + 1, 300),
      /no more PINGs/,
    );
  });

  it('gives a connection up whose server is gone without a word', async (test) => {
    const serve = (peer: RawPeer, index: number) => index > 0 && serveHonestly(peer);
    const { server, over } = await connectRaw(test, serve, { acknowledges: false });
    const waiting = failureOf(over.get('waits'));
    // One that never got beyond the line says nothing of the server.
    await until('it is asked', () => server.peers[0]?.received.some(({ type }) => type === FRAME.headers));
    const late = await within('the deadline', failureOf(over.get('late', { timeoutMs: 100 })));
    assert.equal(late.code, Code.DeadlineExceeded);
    // The deadline made it suspicious.
    assert.equal(gatewayCode(await within('the end of the other call', waiting, BOUND_MS)), 'UNAVAILABLE');
    assert.equal((await within('the next', over.get('next'))).id, 'next');
    assert.equal(server.peers.length, 2);
  });

  it('does not wait for ever for a server that takes a connection and says nothing', async (test) => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket.on('error', () => {}).resume()));
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    const over = await openTransport(SUBJECT, server.address() as AddressInfo);
    test.after(() => {
      over.close();
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const error = await within('the failure', failureOf(over.get('a')), BOUND_MS);
    assert.deepEqual([error.code, gatewayCode(error)], [Code.Unavailable, 'UNAVAILABLE']);
  });

  it('is done with its connections and its calls when it is closed', async (test) => {
    const { server, over } = await connectRaw(test, () => {});
    const open = [over.get('a'), over.get('b')].map(failureOf);
    await until('the calls', () => server.peers[0]?.received.filter(({ type }) => type === FRAME.headers).length === 2);
    over.close();
    for (const error of await within('the end', Promise.all(open))) assert.equal(gatewayCode(error), 'UNAVAILABLE');
    await server.peers[0]!.closed();
    assert.equal(gatewayCode(await within('a call to nothing', failureOf(over.get('c')))), 'UNAVAILABLE');
    assert.equal(server.peers.length, 1);
  });

  it('is done when it is closed while it connects', async (test) => {
    const { server, over } = await connectRaw(test, () => {}, { settings: false });
    const call = failureOf(over.get('a'));
    await until('a connection', () => server.peers.length === 1);
    over.close();
    assert.equal(gatewayCode(await within('the end', call)), 'UNAVAILABLE');
    await server.peers[0]!.closed();
    assert.equal(server.peers.length, 1);
  });
});
