import type pg from 'pg';
import { Gauge, type Registry } from 'prom-client';
import type { Log } from '../shared/log.ts';
import type { Database } from './store/database.ts';
import { readQueueDepths } from './store/engine-entries.ts';
import { countLiveExecutors } from './store/executors.ts';

/** A scrape that waits for longer is given up by whoever scrapes. */
const READ_TIMEOUT_MS = 3_000;
/** Scrapes of several Prometheis, or of one that is impatient, share an answer. */
const FRESH_MS = 2_000;

export interface DatabaseMetricsParts {
  readonly registry: Registry;
  readonly database: Pick<Database, 'pool'>;
  /** Every pool of connections, by what it is for. */
  readonly pools: Readonly<Record<string, pg.Pool>>;
  readonly log: Log;
}

/**
 * Adds what the database knows, as it is at each scrape. Every replica tells the same of the queues, so dashboards take the
 * maximum; while the database is away these have no value.
 */
export function addDatabaseMetrics({ registry, database, pools, log }: DatabaseMetricsParts): void {
  const registers = [registry];
  // Before those that ask the database, so that a scrape does not find its own questions waiting.
  new Gauge({
    name: 'foldforge_database_connections',
    help: 'Connections to the database, by what they are for and whether they are in use',
    labelNames: ['pool', 'state'],
    registers,
    collect() {
      for (const [pool, { totalCount, idleCount }] of Object.entries(pools)) {
        this.set({ pool, state: 'idle' }, idleCount);
        this.set({ pool, state: 'busy' }, totalCount - idleCount);
      }
    },
  });
  new Gauge({
    name: 'foldforge_database_waiting',
    help: 'Who waits for a connection to the database, by what it is for',
    labelNames: ['pool'],
    registers,
    collect() {
      for (const [pool, { waitingCount }] of Object.entries(pools)) this.set({ pool }, waitingCount);
    },
  });
  const entries = new Gauge({
    name: 'foldforge_queue_entries',
    help: 'Steps that can run or do, by queue and state, of all orchestrators on this database together',
    labelNames: ['queue', 'state'],
    registers,
    collect: () => read(),
  });
  const alive = new Gauge({
    name: 'foldforge_orchestrators_alive',
    help: 'Orchestrators on this database that have lately said that they are alive',
    registers,
    collect: () => read(),
  });
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;

  /** Each metric of a scrape waits for the same answer: one that does not is told as it was at the scrape before. */
  function read(): Promise<void> {
    reading ??= ask().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  async function ask(): Promise<void> {
    if (performance.now() - readAt < FRESH_MS) return;
    try {
      const [depths, live] = await inTime(
        Promise.all([readQueueDepths(database.pool), countLiveExecutors(database.pool)]),
      );
      entries.reset();
      for (const { queue, state, entries: count } of depths) entries.set({ queue, state }, count);
      alive.set(live);
      readAt = performance.now();
    } catch (error) {
      log.warn({ err: error }, 'the queues could not be counted');
      entries.reset();
      alive.remove();
    }
  }
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${READ_TIMEOUT_MS} ms`)), READ_TIMEOUT_MS);
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
