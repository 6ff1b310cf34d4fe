import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../../support/waiting.ts';
import type { Seeded } from '../seeded.ts';
import { createAsking, type StoredFile } from './asking.ts';
import { type Client, createClient } from './client.ts';
import { createOrders, type Order } from './orders.ts';
import { createSamples } from './samples.ts';
import type { Scene } from './scene.ts';
import { type Watching, watchOrder } from './watching.ts';

/** Requests a second, all keys together. */
const RATES = { healthz: 10, readyz: 3, metrics: 0.2, get: 8, list: 1, submit: 2, delete: 0.4, poll: 1, download: 3 };
type LoadKind = keyof typeof RATES;

/** Of the workflows that were ordered, so many of each key may be asked for. */
const RECENT = 20;
const STEP_SECONDS = 0.6;
const FILE_PARAMS = { contigs: '400-400', num_designs: 1 };
/** What is under way may take so long when the load stops, and watchers. */
const SETTLE_MS = 40_000;
const WATCHERS_MS = 60_000;
/** A long poll, in seconds. */
const POLL_SECONDS = 2;
const FOR_EVER_SECONDS = 86_000;

export interface KeyHolder {
  readonly client: Client;
  readonly file: StoredFile;
  /** A workflow that goes on for ever. */
  readonly sleeper: string;
  readonly recent: string[];
}

export type Load = Awaited<ReturnType<typeof createLoad>>;

/**
 * Clients that ask whether they are answered or not (an open loop): each kind at its own rate, at random times. `scale`
 * multiplies the rates of what is cheap. Each key has a file and a workflow that goes on for ever, once this resolves.
 */
export async function createLoad(scene: Scene, seeded: Seeded, scale: number) {
  const { port, tokens } = scene;
  const samples = createSamples();
  const asking = createAsking(samples);
  const stopping = new AbortController();
  const orders = createOrders(`order${randomBytes(4).toString('hex')}`, samples, stopping.signal);
  const stranger = createClient(port, 'stranger', undefined);
  const holders = await Promise.all(tokens.map((token, index) => makeHolder(createClient(port, `key${index}`, token))));
  const watchings: { readonly order: Order; readonly watching: Watching }[] = [];
  const underWay = new Set<Promise<unknown>>();
  const pacing = new AbortController();

  async function makeHolder(client: Client): Promise<KeyHolder> {
    const sleeper = await orders.submit({ client, seconds: FOR_EVER_SECONDS });
    const made = await orders.submit({ client, seconds: 0.1, tool: 'rfdiffusion', params: FILE_PARAMS });
    const { body } = await client.send({ path: `/v1/workflows/${made.id}?wait=20` });
    const [artifact] = JSON.parse(String(body)).step_statuses[0].outputs ?? [];
    if (!artifact) throw new Error(`the first workflow has made no file: ${String(body).slice(0, 1_000)}`);
    const key = new URL(artifact.uri).pathname.slice(1);
    const path = `/v1/workflows/${made.id}/artifacts/${key}`;
    const file = { path, sizeBytes: artifact.size_bytes, sha256: artifact.sha256 };
    return { client, file, sleeper: sleeper.id!, recent: [made.id!] };
  }

  async function submit(holder: KeyHolder, isWatched: boolean): Promise<void> {
    const order = await orders.submit({ client: holder.client, seconds: STEP_SECONDS });
    holder.recent.push(order.id!);
    if (holder.recent.length > RECENT) holder.recent.shift();
    if (isWatched) watch(order);
  }

  function watch(order: Order, onEvent?: () => void): Watching {
    const watching = watchOrder(port, order, samples, onEvent);
    watchings.push({ order, watching });
    return watching;
  }

  function ask(kind: LoadKind): Promise<unknown> {
    const holder = seeded.pick(holders);
    const { client, file, recent, sleeper } = holder;
    switch (kind) {
      case 'healthz':
      case 'readyz':
      case 'metrics':
        return asking[kind](stranger);
      case 'get':
        return asking.get(client, seeded.pick(recent));
      case 'list':
        return asking.list(client, seeded.pick([1, 20, 20, 100]));
      case 'submit':
        return submit(holder, seeded.fraction() < 0.5);
      case 'delete':
        return asking.cancel(client, seeded.pick(recent));
      case 'poll':
        return asking.poll(client, sleeper, POLL_SECONDS);
      case 'download':
        return asking.download(client, file, seeded.fraction() < 0.25 ? 1_000 : undefined);
    }
  }

  function track(asked: Promise<unknown>): void {
    const settled = asked.catch(() => {});
    underWay.add(settled);
    void settled.finally(() => underWay.delete(settled));
  }

  async function pace(kind: LoadKind, perSecond: number): Promise<void> {
    let dueMs = performance.now();
    for (;;) {
      // Times between independent events: the load does not wait for whoever is slow.
      dueMs += (-Math.log(1 - seeded.fraction()) / perSecond) * 1_000;
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal: pacing.signal });
      track(ask(kind));
    }
  }

  return {
    samples,
    asking,
    orders,
    holders,
    stranger,
    watch,
    watchings: watchings as readonly { readonly order: Order; readonly watching: Watching }[],
    underWay: () => underWay.size,

    /** Closes the connections of all clients that wait for their next request. */
    disconnect(): void {
      for (const { client } of holders) client.close();
      stranger.close();
    },

    start(): void {
      for (const [kind, rate] of Object.entries(RATES) as [LoadKind, number][]) {
        const isCostly = kind === 'submit' || kind === 'delete' || kind === 'metrics';
        pace(kind, isCostly ? rate : rate * scale).catch(() => {});
      }
    },

    /** Asks nothing more, and waits for every answer and the end of everything that is watched. */
    async stop(): Promise<string[]> {
      pacing.abort();
      const faults: string[] = [];
      const settle = async () => {
        while (underWay.size > 0) await Promise.all(underWay);
      };
      await within('all answers', settle(), SETTLE_MS).catch((error: Error) => faults.push(error.message));
      const all = Promise.all(watchings.map(({ watching }) => watching.over));
      await within('the ends of all streams', all, WATCHERS_MS).catch((error: Error) => faults.push(error.message));
      stopping.abort();
      for (const { watching } of watchings) watching.stop();
      this.disconnect();
      return faults;
    },
  };
}
