import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { openH2 } from '../support/h2-client.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until, within } from '../support/waiting.ts';

/** Also of a handshake, for which a busy machine needs some time. */
const HEADER_MS = 3_000;
const H1 = { agent: false, ALPNProtocols: ['http/1.1'] };

describe('the listener with TLS', () => {
  const first = createSelfSigned('localhost');
  const second = createSelfSigned('localhost', 100);
  const folder = createTlsFolder();
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      TLS_CERT_FILE: folder.write('tls.crt', first.cert),
      TLS_KEY_FILE: folder.write('tls.key', first.key),
      HEADER_TIMEOUT_SECONDS: String(HEADER_MS / 1_000),
      BODY_TIMEOUT_SECONDS: String(HEADER_MS / 1_000),
      IDLE_TIMEOUT_SECONDS: '2',
      CONNECTION_MAX_REQUESTS: '5',
      CONNECTIONS_MAX_PER_ADDRESS: '20',
    });
  });
  after(async () => {
    await gateway.close();
    await fake.close();
    folder.close();
  });

  async function openTls(options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = connect({ port: gateway.port, host: 'localhost', ca: first.cert, ...options });
    socket.on('error', () => {});
    await within('the handshake', once(socket, 'secureConnect'));
    return socket;
  }

  /** All that comes until the other side hangs up. */
  async function readAll(socket: Socket, boundMs = 3 * HEADER_MS): Promise<string> {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    await within('the end', once(socket, 'close'), boundMs);
    return text;
  }

  function get(ca: string): Promise<{ status: number | undefined; protocol: string | false | null }> {
    return new Promise((resolve, reject) => {
      const asked = request({ port: gateway.port, host: 'localhost', path: '/v1/healthz', ca, ...H1 });
      asked.on('error', reject).on('response', (response) => {
        const { alpnProtocol: protocol } = response.socket as TLSSocket;
        response.resume().on('end', () => resolve({ status: response.statusCode, protocol }));
      });
      asked.end();
    });
  }

  describe('speaks', () => {
    it('HTTP/1.1 with those who offer it, or nothing', async () => {
      assert.deepEqual(await get(first.cert), { status: 200, protocol: 'http/1.1' });
      const socket = await openTls();
      assert.equal(socket.alpnProtocol, false);
      socket.write('GET /v1/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      assert.match(await readAll(socket), /^HTTP\/1.1 200 OK\r\n.*Strict-Transport-Security: max-age=31536000/s);
    });

    it('HTTP/2 with those who offer both', async () => {
      const socket = await openTls({ ALPNProtocols: ['http/1.1', 'h2'] });
      assert.equal(socket.alpnProtocol, 'h2');
      socket.destroy();
    });

    it('nothing with those who offer only something else, or TLS 1.1', async () => {
      for (const options of [
        { ALPNProtocols: ['spdy/3'] },
        { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
      ] as const) {
        const socket = connect({
          port: gateway.port,
          host: 'localhost',
          ca: first.cert,
          ...options,
        } as ConnectionOptions);
        const [error] = await within('the refusal', once(socket, 'error'));
        assert.match((error as { code: string }).code, /ALERT/);
      }
    });

    it('no new keys with those who ask for them', async () => {
      const socket = await openTls({ maxVersion: 'TLSv1.2' });
      const outcome = Promise.withResolvers<Error | null>();
      socket.on('error', outcome.resolve);
      socket.on('close', () => outcome.resolve(new Error('closed')));
      socket.renegotiate({}, outcome.resolve);
      assert.notEqual(await within('the outcome', outcome.promise), null);
      socket.destroy();
    });
  });

  it('tells connections from one port of a client to several addresses apart', {
    skip: process.platform !== 'linux' && 'there is no second address of this machine',
  }, async (test) => {
    const wide = await startTestGateway({
      BIND_ADDR: '0.0.0.0:0',
      API_TOKEN: 'a-token-that-is-no-secret-at-all',
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      TLS_CERT_FILE: folder.write('wide.crt', first.cert),
      TLS_KEY_FILE: folder.write('wide.key', first.key),
    });
    test.after(wide.close);
    const silent = connectTcp({ port: wide.port, host: '127.0.0.1', localAddress: '127.0.0.1' });
    silent.on('error', () => {});
    await within('a connection', once(silent, 'connect'));
    const from = { localAddress: '127.0.0.1', localPort: silent.localPort! };
    const other = connect({ port: wide.port, host: '127.0.0.2', ca: first.cert, servername: 'localhost', ...from });
    await within('another one', once(other, 'secureConnect'));
    other.write('GET /v1/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    assert.match(await readAll(other), /^HTTP\/1.1 200/);
    const late = connect({ socket: silent, ca: first.cert, servername: 'localhost' }).on('error', () => {});
    late.write('GET /v1/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    assert.match(await readAll(late), /^HTTP\/1.1 200/);
  });

  describe('bounds', () => {
    it('a handshake that does not go on', async () => {
      const socket = connectTcp(gateway.port, 'localhost').on('error', () => {});
      await within('the end', once(socket, 'close'), 3 * HEADER_MS);
    });

    it('what is no TLS', async () => {
      const socket = connectTcp(gateway.port, 'localhost').on('error', () => {});
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await within('the end', once(socket, 'close'), HEADER_MS - 500);
    });

    it('a head that does not come to its end', async () => {
      const socket = await openTls();
      socket.write('GET /v1/healthz HTTP/1.1\r\nHost: localhost\r\n');
      assert.match(await readAll(socket), /^HTTP\/1.1 408 /);
    });

    it('a body that does not come to its end', async () => {
      const socket = await openTls();
      socket.write(
        'POST /v1/workflows HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev-token\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{',
      );
      assert.match(await readAll(socket), /^HTTP\/1.1 408 /);
    });

    it('the idle time, and the requests, of a connection', async () => {
      const ask = 'GET /v1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n';
      const idle = await openTls();
      idle.write(ask);
      const startedAt = performance.now();
      assert.match(await readAll(idle), /^HTTP\/1.1 200/);
      assert.ok(performance.now() - startedAt > 1_900);
      const busy = await openTls();
      busy.write(ask.repeat(9));
      assert.equal((await readAll(busy)).match(/HTTP\/1.1 200/g)?.length, 5);
    });

    it('malformed requests', async () => {
      const socket = await openTls();
      socket.write(
        'GET /v1/healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      );
      assert.match(await readAll(socket), /^HTTP\/1.1 400 /);
    });

    it('the idle time of an HTTP/2 connection, also of one that asks for nothing but sends pings', async () => {
      const client = openH2(gateway.port, first.cert);
      const closed = once(client.session, 'close');
      const pings = setInterval(() => client.session.destroyed || client.session.ping(() => {}), 50);
      assert.equal((await client.request('/v1/healthz')).status, 200);
      await within('the end', closed, 10_000);
      clearInterval(pings);
      const silent = await openTls({ ALPNProtocols: ['h2'] });
      await readAll(silent);
    });

    it('the time in which a client of HTTP/2 may hang up', async () => {
      const halfOpen = { allowHalfOpen: true };
      const raw = connectTcp({ port: gateway.port, host: 'localhost', ...halfOpen }).on('error', () => {});
      const options = { socket: raw, ca: first.cert, servername: 'localhost', ALPNProtocols: ['h2'], ...halfOpen };
      const silent = connect(options).on('error', () => {});
      // It hears the end, and does not answer with its own.
      silent.resume();
      await within('the end', once(silent, 'end'), 10_000);
      const asking = setInterval(() => silent.write('x'), 250);
      await until('there is nobody any more', () => raw.destroyed || raw.errored, 15_000).finally(() => {
        clearInterval(asking);
        raw.destroy();
      });
    });

    it('the requests of an HTTP/2 connection, and finishes those that are there', async () => {
      const client = openH2(gateway.port, first.cert);
      const gone = once(client.session, 'goaway');
      const answers = await Promise.all(Array.from({ length: 5 }, () => client.request('/v1/healthz')));
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
      await within('GOAWAY', gone);
      await until('the end', () => client.session.destroyed);
    });

    it('the connections of an address', async () => {
      const opened: Socket[] = [];
      let refused = 0;
      for (let count = 0; count < 25; count++) {
        const socket = connectTcp(gateway.port, '127.0.0.1').on('error', () => {});
        socket.on('close', () => refused++);
        opened.push(socket);
      }
      await until('five are refused', () => refused === 5, HEADER_MS - 500);
      for (const socket of opened) socket.destroy();
    });
  });

  describe('reads its certificate again', () => {
    const expiry = async (ca: string) => {
      const client = openH2(gateway.port, ca);
      const { body } = await client.request('/metrics');
      client.close();
      return Number(
        /^foldforge_gateway_tls_certificate_expiry_timestamp_seconds\{certificate="listener"\} (\S+)$/m.exec(body)?.[1],
      );
    };
    const logged = (message: string) => gateway.logLines.filter((line) => line.includes(message)).length;

    it('and says when it ends', async () => {
      const seconds = (await expiry(first.cert)) - Date.now() / 1000;
      assert.ok(seconds > 80_000 && seconds < 86_400, `${seconds} s`);
      assert.equal(logged('a certificate ends soon'), 1);
    });

    it('and keeps it while the new one is broken', async () => {
      folder.write('tls.key', second.key);
      await until('the error is logged', () => logged('new certificates cannot be used') === 1, 10_000);
      assert.equal((await get(first.cert)).status, 200);
    });

    it('and shows the new one to those who come from then on', async () => {
      const old = connectHttp2(`https://localhost:${gateway.port}`, { ca: first.cert });
      await within('the old connection', once(old, 'connect'));
      folder.write('tls.crt', second.cert);
      await until(
        'the new one is shown',
        () =>
          get(second.cert).then(
            () => true,
            () => false,
          ),
        10_000,
      );
      await assert.rejects(get(first.cert), /self.signed|unable to verify/i);
      const seconds = (await expiry(second.cert)) - Date.now() / 1000;
      assert.ok(seconds > 99 * 86_400, `${seconds} s`);
      assert.equal(logged('a certificate ends soon'), 1);
      old.destroy();
    });
  });
});
