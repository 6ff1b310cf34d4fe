import { DBOS } from '@dbos-inc/dbos-sdk';
import pg from 'pg';
import type { Log } from '../../shared/log.ts';
import { APPLICATION, createDbosLog, QUEUE, STEP_WORKFLOW, VERSION } from './dbos.ts';
import type { StepRuns } from './step-runs.ts';
import { requestIdOf, type StepRef, type StepTransitions } from './step-transitions.ts';
import { startStepWatch } from './step-watch.ts';

const POLLING_INTERVAL_MS = 50;
const POOL_SIZE = 10;

export interface StepWorkersParts {
  readonly databaseUrl: string;
  readonly executorId: string;
  /** Steps at a time. */
  readonly concurrency: number;
  readonly runs: StepRuns;
  readonly steps: StepTransitions;
  readonly log: Log;
}

/**
 * Takes steps off the durable queue and runs them, first of all those that this executor had begun before a crash.
 * DBOS is one per process, and so are these workers: starting them twice throws.
 */
export async function startStepWorkers(parts: StepWorkersParts): Promise<{ readonly close: () => Promise<void> }> {
  const { databaseUrl, executorId, concurrency, runs, steps, log } = parts;
  if (DBOS.isInitialized()) throw new Error('only one orchestrator can run in a process');
  const pool = openPool(databaseUrl, executorId, log);
  DBOS.setConfig({
    name: APPLICATION,
    systemDatabaseUrl: databaseUrl,
    systemDatabasePool: pool,
    executorID: executorId,
    applicationVersion: VERSION,
    logger: createDbosLog(log),
  });
  const running = new Set<string>();
  DBOS.registerWorkflow((ref: StepRef) => runStep(runs, running, ref), {
    name: STEP_WORKFLOW,
    // A step in flight at a crash always runs again, however many crashes there were.
    maxRecoveryAttempts: 1_000_000,
  });
  try {
    await DBOS.launch();
    await DBOS.registerQueue(QUEUE, { workerConcurrency: concurrency, minPollingIntervalMs: POLLING_INTERVAL_MS });
  } catch (error) {
    await DBOS.shutdown({ deregister: true });
    await pool.end();
    throw error;
  }
  const watch = startStepWatch({ executorId, isRunning: (requestId) => running.has(requestId), steps, log });

  async function close(): Promise<void> {
    watch.close();
    await DBOS.shutdown({ deregister: true });
    await pool.end();
  }
  return { close };
}

/**
 * A pool whose connections always have a listener. DBOS's own has none between the moment at which one borrower gives a
 * connection back and the one at which the next has it: a session that the server ends just then would end the process.
 */
function openPool(databaseUrl: string, executorId: string, log: Log): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: POOL_SIZE,
    application_name: `foldforge-orchestrator engine ${executorId}`,
  });
  pool.on('connect', (client) =>
    client.on('error', (error) => log.debug({ err: error }, 'lost a connection of the engine')),
  );
  pool.on('error', () => {});
  return pool;
}

/** Two durable halves. Nothing is caught here: the engine's own fencing and cancellation come out of runStep. */
async function runStep(runs: StepRuns, running: Set<string>, ref: StepRef): Promise<void> {
  const requestId = requestIdOf(ref);
  running.add(requestId);
  try {
    const outcome = await DBOS.runStep(() => runs.run(ref, DBOS.stepStatus!.cancelSignal!), { name: 'run' });
    if (outcome) await DBOS.runStep(() => runs.commit(ref, outcome), { name: 'commit' });
  } finally {
    running.delete(requestId);
  }
}
