import fc from 'fast-check';
import { exchangeOf, type Kind } from './exchange.ts';
import { h2ExchangeOf } from './h2/exchange.ts';
import { createSessions } from './h2/sessions.ts';
import { checkHonest, findLeftovers, probing } from './honest.ts';
import type { Tally } from './tally.ts';
import type { World } from './world.ts';

/** So many at the same time, half as many on the average. */
const BATCH = 24;
const HELD_BATCH = 100;

export interface FuzzOptions {
  readonly kind: Kind;
  readonly seed: number;
  /** About so many requests. */
  readonly runs: number;
  /** What fast-check calls the path of one run. */
  readonly path?: string | undefined;
  readonly limitMs?: number;
}

/** What was found, at its smallest. */
export interface Finding {
  readonly seed: number;
  /** Undefined: it is of the whole run. */
  readonly path: string | undefined;
  readonly message: string;
}

/** Sends generated requests to a world, and looks at every answer. Undefined: nothing was found. */
export async function fuzz(world: World, options: FuzzOptions, tally: Tally): Promise<Finding | undefined> {
  const { kind, seed, runs, path, limitMs } = options;
  const crashes: unknown[] = [];
  const note = (error: unknown) => crashes.push(error);
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  for (const event of events) process.on(event, note);
  const batch = kind === 'held' ? HELD_BATCH : BATCH;
  const sessions = world.over === 'h2' ? createSessions(world) : undefined;
  const exchange = sessions ? h2ExchangeOf(world, kind, sessions) : exchangeOf(world, kind);
  const property = fc.asyncProperty(
    fc.array(
      exchange.map((start) => ({ start })),
      { minLength: kind === 'held' ? batch / 2 : 1, maxLength: batch, size: 'max' },
    ),
    async (starts) => {
      const startedAt = performance.now();
      const exchanges = await probing(world, Promise.all(starts.map(({ start }) => start())));
      const statuses = exchanges.flatMap((one) => one.statuses);
      tally.add(kind, statuses, performance.now() - startedAt);
      for (const { shown, check } of exchanges) {
        await check().catch((error: Error) => {
          throw new Error(`${error.message}\n${shown()}`);
        });
      }
      if (crashes.length > 0) throw new Error('the process would have died', { cause: crashes.shift() });
      await checkHonest(world);
    },
  );
  try {
    const details = await fc.check(property, {
      seed,
      numRuns: Math.ceil((2 * runs) / batch),
      // To make it smaller would take as long as timeouts, over and over: the one exchange is shown anyway.
      endOnFailure: kind === 'held',
      ...(path !== undefined && { path }),
      ...(limitMs !== undefined && { interruptAfterTimeLimit: limitMs, markInterruptAsFailure: false }),
    });
    await sessions?.close();
    if (!details.failed) {
      const left = await findLeftovers(world);
      return left === undefined ? undefined : { seed, path: undefined, message: left };
    }
    const error = details.errorInstance as Error | null;
    const cause = error?.cause instanceof Error ? `\n${error.cause.stack}` : '';
    return {
      seed,
      path: details.counterexamplePath ?? undefined,
      message: `${error?.message ?? 'it was interrupted'}${cause}`,
    };
  } finally {
    for (const event of events) process.off(event, note);
  }
}
