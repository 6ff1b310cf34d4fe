import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from './client.ts';
import type { Samples } from './samples.ts';

/** A workflow that somebody wants, once. */
export interface Order {
  /** Its idempotency key, and a label of it. */
  readonly key: string;
  readonly client: Client;
  /** Of the workflow, once somebody was told. */
  id: string | undefined;
  /** How often it was asked for. */
  tries: number;
}

export type Orders = ReturnType<typeof createOrders>;

/** What a client waits before it asks again with the same key, which doubles each time. */
const PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 4_000;

export interface Wish {
  readonly client: Client;
  /** How long its only step takes, in seconds. */
  readonly seconds: number;
  readonly tool?: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/** Submissions with a key each, which begins with `name`, that are made again until they are answered. */
export function createOrders(name: string, samples: Samples, stop: AbortSignal) {
  const all: Order[] = [];

  /** Resolves with the order when its workflow is accepted; rejects when `stop` aborts first. */
  async function submit({
    client,
    seconds,
    tool = 'proteinmpnn',
    params = { num_sequences: 2 },
  }: Wish): Promise<Order> {
    const order: Order = { key: `${name}-${client.name}-${all.length}`, client, id: undefined, tries: 0 };
    all.push(order);
    const step = { id: 'only', tool, params: { ...params, mock: { seconds } } };
    const body = { name: 'chaos', labels: { order: order.key }, steps: [step] };
    while (!(await attempt(order, body))) {
      const pauseMs = Math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** (order.tries - 1));
      await sleep(pauseMs, undefined, { signal: stop });
    }
    return order;
  }

  async function attempt(order: Order, body: unknown): Promise<boolean> {
    const headers = { 'Idempotency-Key': order.key };
    const reply = await order.client.send({ method: 'POST', path: '/v1/workflows', headers, body });
    order.tries++;
    return samples.judge(order.tries === 1 ? 'submit' : 'repeat', reply, () => {
      const { id, labels } = JSON.parse(String(reply.body)) as { id: string; labels: Record<string, string> };
      if (labels?.order !== order.key) return `is told of ${labels?.order} instead of ${order.key}`;
      if (order.id !== undefined && order.id !== id) return `${order.key} became ${order.id} and ${id}`;
      order.id = id;
      return undefined;
    });
  }

  return { name, all: all as readonly Order[], submit };
}

/** What is wrong with the workflows that are stored, given as [id, key]: each key that was accepted has to have one. */
export function checkOrders(orders: readonly Order[], stored: readonly (readonly [string, string])[]): string[] {
  const byKey = Map.groupBy(stored, ([, key]) => key);
  const missing = orders.flatMap(({ key, id }) => {
    const ids = (byKey.get(key) ?? []).map(([found]) => found);
    if (id === undefined) return [`${key} was never answered, and is there ${ids.length} times`];
    if (ids.length !== 1) return [`${key} is there ${ids.length} times`];
    return ids[0] === id ? [] : [`${key} was answered with ${id}, but is ${ids[0]}`];
  });
  const known = new Set(orders.map(({ key }) => key));
  const strangers = [...byKey.keys()].filter((key) => !known.has(key));
  return [...missing, ...strangers.map((key) => `nobody ordered ${key}`)];
}
