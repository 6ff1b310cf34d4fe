import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer,
  Agent as HttpAgent,
  get as httpGet,
  type IncomingMessage,
  type RequestListener,
} from 'node:http';
import { createServer as createTlsServer, Agent as HttpsAgent, get as httpsGet } from 'node:https';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { allowDirectReads, readDirectly } from '../../src/gateway/upstream/direct-reads.ts';
import { listenOnLoopback } from '../support/loopback.ts';
import { until, within } from '../support/waiting.ts';

const CONTENT = randomBytes(8 * 1024 * 1024);
/** How many reads are held before the first of them is given back. */
const HELD = 4;

// A key that both know spares them a certificate.
const SECRET = { psk: Buffer.from('not a secret'), identity: 'test' };
const TLS = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const;

const answer: RequestListener = (_, response) => {
  response.setHeader('Content-Length', CONTENT.length);
  response.end(CONTENT);
};

const TRANSPORTS = {
  http: {
    server: () => createServer(answer),
    agent: () => new HttpAgent({ keepAlive: true }),
    get: httpGet,
  },
  https: {
    server: () => createTlsServer({ ...TLS, pskCallback: () => SECRET.psk }, answer),
    agent: () =>
      new HttpsAgent({ ...TLS, keepAlive: true, pskCallback: () => SECRET, checkServerIdentity: () => undefined }),
    get: httpsGet,
  },
};

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  describe(`a body over ${name} that is read directly`, () => {
    async function withBody(use: (body: IncomingMessage) => Promise<void>): Promise<void> {
      const server = transport.server();
      const port = await listenOnLoopback(server);
      const agent = allowDirectReads<HttpAgent>(transport.agent());
      try {
        const request = transport.get({ host: '127.0.0.1', port, agent });
        const [body] = (await within('an answer', once(request, 'response'))) as [IncomingMessage];
        await use(body);
        body.destroy();
      } finally {
        agent.destroy();
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    }

    async function readAll(body: IncomingMessage): Promise<void> {
      const chunks: Buffer[] = [];
      const held: { bytes: Buffer; release: () => void }[] = [];
      let left = CONTENT.length;
      const whole = Promise.withResolvers<void>();
      const letGo = () => {
        for (const { bytes, release } of held.splice(0)) {
          chunks.push(Buffer.from(bytes));
          left -= bytes.length;
          release();
        }
        if (left === 0) whole.resolve();
        body.socket.resume();
      };
      const take = (bytes: Buffer, release: () => void) => {
        held.push({ bytes, release });
        if (held.length === 1) void turn().then(turn).then(letGo);
        return held.length < HELD;
      };
      const unseen = readDirectly(body, take);
      assert.ok(unseen);
      for (let bytes = body.read(); bytes !== null; bytes = body.read()) chunks.push(bytes);
      chunks.push(...unseen);
      left -= chunks.reduce((sum, { length }) => sum + length, 0);
      body.socket.resume();
      await within('all of it', whole.promise, 10_000);
      assert.ok(Buffer.concat(chunks).equals(CONTENT));
    }

    it('is whole and in order, however late what was read is given back', () => withBody(readAll));

    it('is so, too, when more has been read than has reached the body', () =>
      withBody(async (body) => {
        await until('bytes that only the socket has', () => body.socket.readableLength > 0);
        await readAll(body);
      }));

    it('comes through the HTTP client as ever until then', () =>
      withBody(async (body) => {
        const chunks: Buffer[] = [];
        for await (const chunk of body) chunks.push(chunk);
        assert.ok(Buffer.concat(chunks).equals(CONTENT));
      }));
  });
}
