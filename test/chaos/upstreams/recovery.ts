import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyHolder, Load } from './load.ts';

export const RECOVERED = ['read', 'submit', 'download', 'event', 'readyz'] as const;
/** The first good answer of each kind: an API read, a submission, a file, an event on a stream that was open, readyz. */
export type Recovered = (typeof RECOVERED)[number];

const EVERY_MS = 100;
/** Nobody waits for longer than this. */
const GIVE_UP_MS = 20_000;

export type Recovery = Awaited<ReturnType<typeof prepareRecovery>>;

/** Opens a stream before a fault, whose next event can be called forth after it. */
export async function prepareRecovery(load: Load, holder: KeyHolder) {
  const order = await load.orders.submit({ client: holder.client, seconds: 86_000 });
  let backSinceMs = Infinity;
  let eventMs: number | undefined;
  load.watch(order, () => {
    if (performance.now() >= backSinceMs) eventMs ??= performance.now();
  });

  /** Asks ten times a second, whether it was answered or not; milliseconds from `backMs` to the first good answer. */
  async function firstGood(backMs: number, ask: () => Promise<boolean>): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    let isOver = false;
    const settle = (ms: number) => {
      isOver = true;
      resolve(ms);
    };
    while (!isOver && performance.now() - backMs < GIVE_UP_MS) {
      void ask().then((isGood) => isGood && settle(performance.now() - backMs));
      await sleep(EVERY_MS);
    }
    if (!isOver) settle(Infinity);
    return promise;
  }

  return {
    /** How long each kind took from `backMs`, by performance.now(), in milliseconds; Infinity: it did not come. */
    async measure(backMs: number): Promise<Record<Recovered, number>> {
      const { asking, orders, stranger } = load;
      backSinceMs = backMs;
      const { client, file } = holder;
      // Each try is a workflow of its own, which goes on until it is answered.
      const submit = () => orders.submit({ client, seconds: 0.1 }).then(({ tries }) => tries === 1);
      const event = async () => {
        await asking.cancel(client, order.id!);
        return eventMs !== undefined;
      };
      const found = await Promise.all([
        firstGood(backMs, () => asking.get(client, order.id!)),
        firstGood(backMs, submit),
        firstGood(backMs, () => asking.download(client, file)),
        firstGood(backMs, event).then((ms) => (eventMs === undefined ? ms : eventMs - backMs)),
        firstGood(backMs, () => asking.readyz(stranger)),
      ]);
      return Object.fromEntries(RECOVERED.map((kind, index) => [kind, found[index]!])) as Record<Recovered, number>;
    },
  };
}
