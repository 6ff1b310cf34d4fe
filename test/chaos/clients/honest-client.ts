import { hash, randomUUID } from 'node:crypto';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import type { Furniture } from './furniture.ts';
import { startPace } from './pace.ts';

/** What takes longer has failed, in milliseconds. */
const BOUND_MS = 2_000;
const SPEC = JSON.stringify({ name: 'honest', steps: [{ id: 'backbone', tool: 'rfdiffusion' }] });

interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface HonestParts {
  readonly port: number;
  readonly address: string;
  readonly furniture: Furniture;
  readonly perSecond: number;
}

/** Of all phases together: who has been a newcomer is none any more. */
let newcomers = 0;

/**
 * Does at an even pace what users do, in turn, and expects each of it to succeed at the first try and within two seconds:
 * half of it on new connections, half on those that an agent keeps.
 */
export function startHonestClient({ port, address, furniture, perSecond }: HonestParts) {
  const { honestKey, newcomerKeys, honest } = furniture;
  const latenciesMs: number[] = [];
  const failures: string[] = [];
  const under = new Set<Promise<void>>();
  const agent = new Agent({ keepAlive: true });
  let turn = 0;

  function ask({ method = 'GET', path, key = honestKey, headers = {}, body }: Asked): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(BOUND_MS);
      const options = { host: '127.0.0.1', port, path, method, localAddress: address, signal };
      const authorized = { Host: 'gateway.test', Authorization: `Bearer ${key}`, ...headers };
      const asking = request({ ...options, agent: turn % 2 === 0 ? agent : false, headers: authorized }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({ status: answer.statusCode!, headers: answer.headers, body: Buffer.concat(chunks) }),
        );
      });
      asking.on('error', (error) => reject(signal.aborted ? new Error(`not done within ${BOUND_MS} ms`) : error));
      asking.end(body);
    });
  }

  async function expect(status: number, asked: Asked): Promise<Answered> {
    const answer = await ask(asked);
    if (answer.status !== status) throw new Error(`${answer.status} ${answer.body.toString().slice(0, 120)}`);
    return answer;
  }

  let lastId = honest.finished.id;
  const acts: Readonly<Record<string, () => Promise<unknown>>> = {
    async submit() {
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() };
      const { body } = await expect(201, { method: 'POST', path: '/v1/workflows', headers, body: SPEC });
      lastId = JSON.parse(body.toString()).id;
    },
    read: () => expect(200, { path: `/v1/workflows/${lastId}` }),
    list: () => expect(200, { path: '/v1/workflows?page_size=50' }),
    async watch() {
      const path = `/v1/workflows/${honest.finished.id}/events`;
      const { body } = await expect(200, { path, headers: { 'Last-Event-ID': '0', Accept: 'text/event-stream' } });
      const ids = [...body.toString().matchAll(/^id: (\d+)\nevent/gm)].map(([, id]) => Number(id));
      const isWhole = ids.length === honest.finished.events && ids.every((id, index) => id === index + 1);
      if (!isWhole) throw new Error(`of ${honest.finished.events} events came ${ids.join(',')}`);
      if (!body.includes('\nevent: end\n')) throw new Error('the stream ended before its end');
    },
    async download() {
      const { body } = await expect(200, { path: honest.file.path });
      if (hash('sha256', body) !== honest.file.sha256) throw new Error('the file is damaged');
    },
    ready: () => expect(200, { path: '/v1/readyz' }),
    // Somebody whose key this gateway has not seen yet.
    newcomer: () => expect(200, { path: '/v1/billing/balance', key: newcomerKeys[newcomers++ % newcomerKeys.length]! }),
  };
  const names = Object.keys(acts);

  async function act(): Promise<void> {
    const name = names[turn++ % names.length]!;
    const beganAt = performance.now();
    try {
      await acts[name]!();
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message}`);
    }
    latenciesMs.push(performance.now() - beganAt);
  }

  const stop = startPace(perSecond, () => {
    const doing = act().finally(() => under.delete(doing));
    under.add(doing);
  });
  return {
    count: () => latenciesMs.length,
    /** Waits for what is under way. */
    async end() {
      stop();
      await Promise.all(under);
      agent.destroy();
      return { latenciesMs, failures };
    },
  };
}
