import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Seeded } from '../chaos/seeded.ts';
import type { Outage } from '../chaos/upstreams/allowed.ts';
import { sickDuring } from '../chaos/upstreams/allowed.ts';
import type { KeyHolder } from '../chaos/upstreams/load.ts';

/** A head that never ends is cut off after 10 s; a bound for that, and for every other answer. */
const PATIENCE_MS = 20_000;

interface StrangersParts {
  readonly port: number;
  readonly seeded: Seeded;
  readonly outages: readonly Outage[];
  readonly isBusy: boolean;
}

/** People who send what nobody asked for: each resolves with what was wrong about how they were treated. */
export function createStrangers({ port, seeded, outages, isBusy }: StrangersParts) {
  /** Everything that comes back until the connection is closed, or until `leaveMs`. */
  async function converse(text: string | Buffer, leaveMs = PATIENCE_MS): Promise<{ answer: string; left: boolean }> {
    const socket: Socket = connect(port, '127.0.0.1');
    let answer = '';
    const { promise, resolve } = Promise.withResolvers<boolean>();
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        answer = (answer + chunk.toString('latin1')).slice(0, 4_096);
      })
      .on('close', () => resolve(false));
    const timer = setTimeout(resolve, leaveMs, true);
    socket.write(text);
    const left = await promise;
    clearTimeout(timer);
    socket.destroy();
    return { answer, left };
  }

  return {
    /** Garbage, or a request that no rule allows: refused in words, or hung up on. */
    async sendJunk({ client }: KeyHolder): Promise<string | undefined> {
      const [name, text] = seeded.pick(listJunk(client.token!, seeded));
      const beganMs = performance.now();
      const { answer, left } = await converse(text);
      if (left) return `${name}: neither answered nor closed within ${PATIENCE_MS / 1_000} s`;
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
      if (status === 0 || (status >= 400 && status < 500)) return undefined;
      // Whoever looks up a key may not be there.
      const time = { beganMs, endedMs: performance.now() };
      if (status >= 503 && (isBusy || sickDuring(time, outages).size > 0)) return undefined;
      return `${name}: answered with ${status}`;
    },

    /** Begins a head and never ends it. */
    async holdHead(): Promise<string | undefined> {
      const { left } = await converse('GET /v1/healthz HTTP/1.1\r\nHost: soak\r\nX-Slow: ');
      return left ? `a head without an end was held for ${PATIENCE_MS / 1_000} s` : undefined;
    },

    /** Begins a body, and goes away in the middle of it. */
    async holdBody({ client }: KeyHolder): Promise<undefined> {
      const head = `POST /v1/workflows HTTP/1.1\r\nHost: soak\r\nAuthorization: Bearer ${client.token}\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"name":`;
      await converse(head, seeded.whole(500, 4_000));
    },

    /** Asks for a file, does not read it for some time, and goes away. */
    async neverRead({ client, file }: KeyHolder): Promise<undefined> {
      const socket = connect(port, '127.0.0.1').pause();
      socket.on('error', () => {});
      socket.write(
        `GET ${file.path} HTTP/1.1\r\nHost: soak\r\nAuthorization: Bearer ${client.token}\r\nConnection: close\r\n\r\n`,
      );
      await sleep(seeded.whole(500, 4_000));
      socket.destroy();
    },
  };
}

function listJunk(token: string, seeded: Seeded): readonly (readonly [name: string, text: string | Buffer])[] {
  const head = (target: string, ...fields: string[]) =>
    [`${target} HTTP/1.1`, 'Host: soak', 'Connection: close', ...fields, '', ''].join('\r\n');
  const post = (body: string, type = 'application/json') =>
    head(
      'POST /v1/workflows',
      `Authorization: Bearer ${token}`,
      `Content-Type: ${type}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
    ) + body;
  return [
    [
      'random bytes',
      Buffer.from(Array.from({ length: seeded.whole(20, 400) }, () => seeded.whole(0, 255)).concat(13, 10, 13, 10)),
    ],
    ['a field without a colon', head('GET /v1/healthz', 'nonsense')],
    ['two lengths', head('POST /v1/workflows', 'Content-Length: 3', 'Transfer-Encoding: chunked')],
    ['an unknown method', head('BREW /v1/healthz')],
    ['a head that is too large', head('GET /v1/healthz', `X-Large: ${'x'.repeat(20_000)}`)],
    [
      'a target that is too long',
      head(`GET /v1/workflows?page_token=${'x'.repeat(10_000)}`, `Authorization: Bearer ${token}`),
    ],
    ['an unknown path', head(`GET /v1/${seeded.whole(0, 1e9)}`)],
    ['an unknown key', head('GET /v1/workflows', `Authorization: Bearer ${seeded.whole(0, 1e9)}`)],
    ['an unknown workflow', head(`GET /v1/workflows/${seeded.whole(0, 1e9)}`, `Authorization: Bearer ${token}`)],
    ['no JSON', post('{"name":')],
    ['deep JSON', post('['.repeat(5_000))],
    ['an empty order', post('{}')],
    ['another media type', post('name=soak', 'application/x-www-form-urlencoded')],
  ];
}
