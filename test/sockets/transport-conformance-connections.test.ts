import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Code, type ConnectError } from '@connectrpc/connect';
import { TRANSPORTS, type TransportName } from '../../src/gateway/upstream/transport.ts';
import { GRPC_SERVERS, type GrpcServer, type GrpcServerOptions } from '../support/grpc-servers.ts';
import { findStablePorts } from '../support/stable-ports.ts';
import { drainNumbers, failureOf, gatewayCode, isOnNodeHttp2, openTransport } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const BOUND_MS = 15_000;

for (const kind of GRPC_SERVERS) {
  describe(`connections to ${kind.name}`, { skip: kind.skip }, () => {
    for (const name of TRANSPORTS) describe(`of ${name}`, () => testConnections(name, kind.start));
  });
}

function testConnections(name: TransportName, start: (options: GrpcServerOptions) => Promise<GrpcServer>): void {
  const open: { close(): unknown }[] = [];
  after(async () => {
    for (const part of open) await part.close();
  });

  async function startServer(options: GrpcServerOptions): Promise<GrpcServer> {
    const server = await start(options);
    open.unshift(server);
    return server;
  }

  async function connect({ port }: { port: number }) {
    const over = await openTransport(name, { port });
    open.unshift(over);
    return over;
  }

  it('take more calls than the server takes streams', async () => {
    const over = await connect(await startServer({ maxStreams: 3 }));
    const asked = Array.from({ length: 50 }, (_, index) => `call ${index}`);
    const calls = Promise.all(asked.map((text) => over.get({ text, delay: 5 })));
    const answers = await within('all calls', calls, BOUND_MS);
    assert.deepEqual(
      answers.map(({ id }) => id),
      asked,
    );
  });

  it('let a call through while streams take all that the server allows', async () => {
    const over = await connect(await startServer({ maxStreams: 3 }));
    const watch = new AbortController();
    const streams = Array.from({ length: 7 }, () => over.stream({ key: 'w', count: 1, hang: true }, watch));
    await within('all streams', Promise.all(streams.map((events) => events.next())), BOUND_MS);
    assert.equal((await within('a call', over.get({ text: 'through' }), BOUND_MS)).id, 'through');
    const ends = streams.map((events) => failureOf(events.next()));
    watch.abort();
    for (const { code } of await within('the end', Promise.all(ends))) assert.equal(code, Code.Canceled);
    // A server on node:http2 counts a stream for a little longer than it takes, and refuses another one meanwhile.
    const openStreams = () =>
      over.stats('w').then(
        ({ open }) => open,
        () => undefined,
      );
    await until('the server has none', async () => (await openStreams()) === '0');
  });

  it('outlive many calls that are cancelled while streams take all that the server allows', async () => {
    const over = await connect(await startServer({ maxStreams: 10 }));
    // More than the window takes: the server is not done before it is read.
    const slow = over.stream({ count: 60, size: 20_000 });
    await within('the stream', slow.next(), BOUND_MS);
    const cancel = new AbortController();
    const calls = Array.from({ length: 9 }, () => failureOf(over.get({ key: 'c', hang: true }, cancel)));
    await until('all calls', async () => (await over.stats('c')).open === '9', BOUND_MS);
    cancel.abort();
    for (const { code } of await within('the ends', Promise.all(calls))) assert.equal(code, Code.Canceled);
    assert.equal((await within('the rest', drainNumbers(slow), BOUND_MS)).at(-1), 60);
  });

  it('are changed under load, when the server says GOAWAY, without a failed call', async () => {
    const over = await connect(await startServer({ maxAgeMs: 100 }));
    const failures: ConnectError[] = [];
    const peers = new Set<string | undefined>();
    const deadline = performance.now() + BOUND_MS;
    let answered = 0;
    async function callOn(): Promise<void> {
      while (peers.size < 5 && performance.now() < deadline) {
        const text = `${answered++}`;
        try {
          const { id, spec } = await over.get({ text, delay: answered % 7, metadata: true });
          assert.equal(id, text);
          peers.add(spec?.labels.peer);
        } catch (error) {
          failures.push(error as ConnectError);
        }
      }
    }
    await within('the load', Promise.all(Array.from({ length: 8 }, callOn)), BOUND_MS + 1_000);
    assert.ok(peers.size >= 5, `only ${peers.size} connections`);
    assert.deepEqual(
      failures.filter((error) => !isForgiven(name, error)),
      [],
    );
  });

  it('let a stream go on after GOAWAY', async () => {
    // Long enough to open both of what is asked for on the first connection.
    const over = await connect(await startServer({ maxAgeMs: 500 }));
    const slow = over.stream({ count: 60, size: 20_000 });
    const before = await over.peer();
    await slow.next();
    const peer = () =>
      over.peer().catch((error: ConnectError) => (isForgiven(name, error) ? before : assert.fail(error)));
    await until('the next connection', async () => (await peer()) !== before);
    assert.equal((await within('the rest', drainNumbers(slow), BOUND_MS)).at(-1), 60);
  });

  it('come back after the server did', async () => {
    const [port] = (await findStablePorts(1)) as [number];
    const first = await startServer({ port });
    const over = await connect(first);
    await over.get({});
    const lost = failureOf(over.get({ key: 'r', hang: true }));
    const lostStream = failureOf(drainNumbers(over.stream({ key: 'r', count: 1, hang: true })));
    await until('both are open', async () => (await over.stats('r')).open === '2');
    await first.close();
    assert.equal(gatewayCode(await within('the lost call', lost)), 'UNAVAILABLE');
    assert.equal(gatewayCode(await within('the lost stream', lostStream)), 'UNAVAILABLE');
    const refused = await within('a call to nobody', failureOf(over.get({}, { timeoutMs: 10_000 })), 12_000);
    assert.equal(gatewayCode(refused), 'UNAVAILABLE', `${refused}`);
    await startServer({ port });
    const answers = async () => (await over.get({ text: 'back' }, { timeoutMs: 1_000 }).catch(() => undefined))?.id;
    await until('calls go through again', async () => (await answers()) === 'back', BOUND_MS);
  });
}

/** node:http2 ends a call that came too late with REFUSED_STREAM; connect leaves it to the caller to make it again. */
function isForgiven(name: TransportName, error: ConnectError): boolean {
  return isOnNodeHttp2(name) && gatewayCode(error) === 'UNAVAILABLE';
}
