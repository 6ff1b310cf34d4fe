import { DBOS } from '@dbos-inc/dbos-sdk';
import pg from 'pg';
import type { Log } from '../../shared/log.ts';
import type { ToolLimits } from '../config.ts';
import { IDLE_IN_TRANSACTION_MS, isSilence, KEEPALIVE_DELAY_MS, QUERY_TIMEOUT_MS } from '../store/database.ts';
import { PreparingClient } from '../store/preparing-client.ts';
import type { SessionName } from '../store/session-name.ts';
import { APPLICATION, allQueues, createDbosLog, QUEUE, STEP_WORKFLOW, VERSION } from './dbos.ts';
import type { StepRuns } from './step-runs.ts';
import { requestIdOf, type StepRef, type StepTransitions } from './step-transitions.ts';
import { startStepWatch } from './step-watch.ts';

const POLLING_INTERVAL_MS = 50;
// Replicas that ask for a limited queue at the same time make each other wait.
const LIMITED_POLLING_INTERVAL_MS = 200;
const POOL_SIZE = 10;

export interface StepWorkersParts {
  readonly databaseUrl: string;
  readonly executorId: string;
  readonly sessionName: SessionName;
  /** Steps at a time in this process. */
  readonly concurrency: number;
  readonly limits: ToolLimits;
  readonly runs: StepRuns;
  readonly steps: StepTransitions;
  readonly log: Log;
}

export interface StepWorkers {
  /** The engine's connections. */
  readonly pool: pg.Pool;
  readonly close: () => Promise<void>;
}

/**
 * Takes steps off the durable queue and runs them, first of all those that this executor had begun before a crash.
 * DBOS is one per process, and so are these workers: starting them twice throws.
 */
export async function startStepWorkers(parts: StepWorkersParts): Promise<StepWorkers> {
  const { databaseUrl, executorId, sessionName, concurrency, limits, runs, steps, log } = parts;
  if (DBOS.isInitialized()) throw new Error('only one orchestrator can run in a process');
  const pool = openPool(databaseUrl, sessionName('engine'), log);
  DBOS.setConfig({
    name: APPLICATION,
    systemDatabaseUrl: databaseUrl,
    systemDatabasePool: pool,
    executorID: executorId,
    applicationVersion: VERSION,
    logger: createDbosLog(log),
    // Its own traces are not ours, and would need other packages.
    enableOTLP: false,
    tracingEnabled: false,
  });
  const running = new Set<StepRef>();
  DBOS.registerWorkflow((ref: StepRef) => runStep(runs, running, ref), {
    name: STEP_WORKFLOW,
    // A step in flight at a crash always runs again, however many crashes there were.
    maxRecoveryAttempts: 1_000_000,
  });
  try {
    await DBOS.launch();
    await registerQueues(concurrency, limits);
  } catch (error) {
    await DBOS.shutdown({ deregister: true });
    await pool.end();
    throw error;
  }
  const watch = startStepWatch({
    executorId,
    isRunning: (requestId) => [...running].some((ref) => requestIdOf(ref) === requestId),
    steps,
    log,
  });

  async function close(): Promise<void> {
    watch.close();
    await DBOS.shutdown({ deregister: true });
    await pool.end();
  }
  return { pool, close };
}

/** The last replica to start has the say; a queue whose tool has no limit any more is emptied. */
async function registerQueues(concurrency: number, limits: ToolLimits): Promise<void> {
  const known = new Set((await DBOS.listQueues()).map(({ name }) => name));
  for (const { name, limit } of allQueues(limits)) {
    const shared = { globalConcurrency: limit, minPollingIntervalMs: LIMITED_POLLING_INTERVAL_MS };
    const own = { minPollingIntervalMs: POLLING_INTERVAL_MS };
    if (limit > 0) await DBOS.registerQueue(name, { workerConcurrency: Math.min(concurrency, limit), ...shared });
    else if (name === QUEUE || known.has(name))
      await DBOS.registerQueue(name, { workerConcurrency: concurrency, ...own });
  }
}

/**
 * The engine counts what runs of a queue with a limit, and takes as many entries as there is room for, under a snapshot of
 * its own. Two replicas that see different entries at the head of the line would both fill the last place: serializable
 * transactions make one of them try again.
 */
class EngineClient extends PreparingClient {
  // biome-ignore lint/suspicious/noExplicitAny: pg declares eight forms, which are all passed on.
  override query(...args: any[]): any {
    const isClaim = args[0] === 'BEGIN ISOLATION LEVEL REPEATABLE READ';
    const answer = super.query(...(isClaim ? ['BEGIN ISOLATION LEVEL SERIALIZABLE', ...args.slice(1)] : args));
    // The engine would give such a connection back as a good one, and be silenced by it again and again.
    if (answer instanceof Promise) answer.catch((error) => this.#closeWhenSilent(error));
    return answer;
  }

  #closeWhenSilent(error: Error): void {
    if (isSilence(error)) (this as unknown as { connection: pg.Connection }).connection.stream.destroy();
  }
}

/**
 * A pool whose connections always have a listener. DBOS's own has none between the moment at which one borrower gives a
 * connection back and the one at which the next has it: a session that the server ends just then would end the process.
 */
function openPool(databaseUrl: string, name: string, log: Log): pg.Pool {
  const pool = new pg.Pool({
    Client: EngineClient,
    connectionString: databaseUrl,
    max: POOL_SIZE,
    application_name: name,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    // A connection may be lost without a word, as when another server takes the place of this one.
    query_timeout: QUERY_TIMEOUT_MS,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_DELAY_MS,
  });
  pool.on('connect', (client) =>
    client.on('error', (error) => log.debug({ err: error }, 'lost a connection of the engine')),
  );
  pool.on('error', () => {});
  return pool;
}

/** Two durable halves. Nothing is caught here: the engine's own fencing and cancellation come out of runStep. */
async function runStep(runs: StepRuns, running: Set<StepRef>, ref: StepRef): Promise<void> {
  running.add(ref);
  try {
    const outcome = await DBOS.runStep(() => runs.run(ref, DBOS.stepStatus!.cancelSignal!), { name: 'run' });
    if (outcome) await DBOS.runStep(() => runs.commit(ref, outcome), { name: 'commit' });
  } finally {
    running.delete(ref);
  }
}
