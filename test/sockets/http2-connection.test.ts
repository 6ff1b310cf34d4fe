import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createSecureContext } from 'node:tls';
import { createChannel, type Waiter } from '../../src/gateway/upstream/http2/channel.ts';
import { createConnection, type StreamHandler } from '../../src/gateway/upstream/http2/connection.ts';
import type { StreamError } from '../../src/gateway/upstream/http2/errors.ts';
import { ERROR, FRAME, goAway } from '../support/h2-frames.ts';
import { listenOnLoopback } from '../support/loopback.ts';
import { head } from '../support/raw-grpc.ts';
import { type RawPeer, startRawHttp2Server } from '../support/raw-http2-server.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { within } from '../support/waiting.ts';

const OPTIONS = { streamWindowBytes: 65_536, keepaliveMs: 60_000 } as const;
/** RFC 7541, appendix A: `:method: GET`. */
const HEADER = Buffer.of(0x82);
const BODY = Buffer.from('body');
const HOST = '127.0.0.1';

const isHeaders = ({ type }: { type: number }) => type === FRAME.headers;

/** A connection that is ready, and the server's side of it. */
async function openConnection(test: TestContext) {
  const server = await startRawHttp2Server(() => {}, { host: HOST });
  const socket = connect(server.port, HOST);
  await once(socket, 'connect');
  const ready = Promise.withResolvers<void>();
  const connection = createConnection(socket, {
    ...OPTIONS,
    onReady: ready.resolve,
    onRoom() {},
    onLeave() {},
    onClose() {},
  });
  test.after(async () => {
    connection.close();
    await server.close();
  });
  await within('SETTINGS', ready.promise);
  return { connection, socket, peer: server.peers[0]! };
}

/** A handler, with what comes first: a header or a failure. */
function createListener() {
  const header = Promise.withResolvers<void>();
  const failure = Promise.withResolvers<StreamError>();
  const handler: StreamHandler = {
    header: () => header.resolve(),
    data() {},
    end() {},
    fail: failure.resolve,
  };
  return { handler, header: header.promise, failure: failure.promise };
}

describe('a connection that breaks', () => {
  it('says that a request had not left, and lets it not leave', async (test) => {
    const { connection, socket, peer } = await openConnection(test);
    const { handler, failure } = createListener();
    connection.open(HEADER, BODY, handler);
    socket.emit('error', new Error('broken'));
    assert.equal((await within('the failure', failure)).isUnprocessed, true);
    assert.equal(await peer.goAwayCode(), ERROR.noError);
    await peer.closed();
    assert.equal(peer.received.filter(isHeaders).length, 0);
  });

  it('does not say so of a request that has left', async (test) => {
    const { connection, socket, peer } = await openConnection(test);
    const { handler, failure } = createListener();
    connection.open(HEADER, BODY, handler);
    await peer.find('the request', isHeaders);
    socket.emit('error', new Error('broken'));
    assert.equal((await within('the failure', failure)).isUnprocessed, false);
  });
});

describe('a connection', () => {
  it('has served as soon as an answer begins', async (test) => {
    const { connection, peer } = await openConnection(test);
    const { handler, header } = createListener();
    const { id } = connection.open(HEADER, BODY, handler);
    await peer.find('the request', isHeaders);
    assert.equal(connection.hasServed(), false);
    peer.send(head(id));
    await within('the header', header);
    assert.equal(connection.hasServed(), true);
  });

  it('tells why the server hung up', async (test) => {
    const { connection, peer } = await openConnection(test);
    const { handler, failure } = createListener();
    const { id } = connection.open(HEADER, BODY, handler);
    await peer.find('the request', isHeaders);
    peer.send(goAway(id, ERROR.enhanceYourCalm));
    peer.end();
    assert.match((await within('the failure', failure)).message, /ENHANCE_YOUR_CALM/);
  });
});

describe('a channel that is closed', () => {
  function openChannel(endpoint: string, ca?: string) {
    const failure = Promise.withResolvers<StreamError>();
    const waiter: Waiter = { begin: () => assert.fail('a stream after the end'), fail: failure.resolve };
    const secureContext = () => createSecureContext({ ca });
    const channel = createChannel({ endpoints: [new URL(endpoint)], maxConnections: 9, secureContext, ...OPTIONS });
    channel.request(waiter);
    return { channel, failure: failure.promise };
  }

  it('hangs up on a server that does not go on with its handshake', async (test) => {
    const dials: Socket[] = [];
    const server = createServer((socket) => dials.push(socket.on('error', () => {})));
    const dialed = once(server, 'connection');
    const port = await listenOnLoopback(server);
    test.after(() => {
      for (const socket of dials) socket.destroy();
      server.close();
    });
    const { channel, failure } = openChannel(`https://${HOST}:${port}`, createSelfSigned('localhost').cert);
    const [socket] = (await within('a connection', dialed)) as [Socket];
    await within('the hello', once(socket, 'data'));
    const left = once(socket, 'close');
    channel.close();
    assert.match((await within('the end of who waits', failure)).message, /closed by us/);
    await within('the client hangs up', left, 4_000);
    assert.equal(dials.length, 1);
  });

  it('does not dial when it learns the address', async (test) => {
    const served: RawPeer[] = [];
    const server = await startRawHttp2Server((peer) => served.push(peer), { host: HOST });
    const { channel, failure } = openChannel(`http://${HOST}:${server.port}`);
    channel.close();
    await within('the end of who waits', failure);
    // Had the channel dialed, it would have been before this one.
    const later = connect(server.port, HOST);
    await once(later, 'connect');
    test.after(async () => {
      later.destroy();
      await server.close();
    });
    await within('SETTINGS', once(later, 'data'));
    assert.equal(served.length, 1);
  });
});
