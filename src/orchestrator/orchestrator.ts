import { OrchestratorService } from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { Health } from '../gen/grpc/health/v1/health_pb.ts';
import type { Log } from '../shared/log.ts';
import { watchTlsFiles } from '../shared/tls-watch.ts';
import type { Tracing } from '../shared/tracing.ts';
import { createBilling } from './accounts/billing.ts';
import type { OrchestratorConfig } from './config.ts';
import { addDatabaseMetrics } from './database-metrics.ts';
import { createAcceptance } from './engine/acceptance.ts';
import { createChangeWorkflow } from './engine/change-workflow.ts';
import { createEventFeed } from './engine/event-feed.ts';
import { startEventRetention } from './engine/event-retention.ts';
import { forgetRuns } from './engine/finished-runs.ts';
import { startIdempotencyRetention } from './engine/idempotency-retention.ts';
import { startPresence } from './engine/presence.ts';
import { createStepQueue } from './engine/step-queue.ts';
import { createStepRuns } from './engine/step-runs.ts';
import { createStepTransitions } from './engine/step-transitions.ts';
import { startStepWorkers } from './engine/step-workers.ts';
import { startWorkflowRetention } from './engine/workflow-retention.ts';
import { createWorkflowTransitions } from './engine/workflow-transitions.ts';
import { createHealth } from './health.ts';
import { createMetrics, type Metrics, startMetricsServer } from './metrics.ts';
import { createCallObserver } from './observe-calls.ts';
import { createReadiness } from './readiness.ts';
import { refuseWhenCutOff } from './refuse-when-cut-off.ts';
import { startRpcServer } from './rpc-server.ts';
import { createArtifactWriter } from './runners/artifact-writer.ts';
import { createMockRunner } from './runners/mock.ts';
import type { Runner } from './runners/runner.ts';
import { createSidecarRunner } from './runners/sidecar.ts';
import { createService } from './service.ts';
import { isUnusable, openDatabase, unreachable } from './store/database.ts';
import { EVENTS_CHANNEL } from './store/events.ts';
import { holdExecutorLock } from './store/executor-lock.ts';
import { startListener } from './store/listener.ts';
import { migrate } from './store/migrate.ts';
import { createSessionName } from './store/session-name.ts';
import { takeTurn } from './store/turn.ts';

// A little longer than the server takes to find out that the session of a host that is gone has ended.
const PREDECESSOR_WAIT_MS = 12_000;
/** An arbitrary number that all versions of the program agree on. */
const STARTUP_LOCK = 7_370_551_002;
const STARTUP_WAIT_MS = 60_000;
const VITAL_LOCK_TIMEOUT_MS = 2_000;
const CALLS_GRACE_MS = 2_000;
const RUNNERS_GRACE_MS = 3_000;
const LAST_EXPORT_MS = 2_000;

export interface Orchestrator {
  /** The port of the gRPC server. */
  readonly port: number;
  readonly metricsPort: number;
  /** Takes no more calls, leaves running steps to the next start, and closes everything; takes a few seconds at most. */
  readonly close: () => Promise<void>;
}

export interface OrchestratorParts {
  readonly log: Log;
  /** Instead of the one that the config names. Is closed with the orchestrator. */
  readonly runner?: Runner;
  /** Undefined: there are no spans. Is closed with the orchestrator. */
  readonly tracing?: Tracing | undefined;
  /** Called when this orchestrator must not go on, because another has taken its place. */
  readonly onReplaced: () => void;
}

/**
 * Builds the program and opens its ports. One orchestrator per process: the durable engine is global.
 * Throws StartupError when the database or a port cannot be had; then nothing stays open.
 */
export async function startOrchestrator(config: OrchestratorConfig, parts: OrchestratorParts): Promise<Orchestrator> {
  const metrics = createMetrics();
  const { log, tracing, runner = createRunner(config, metrics, parts), onReplaced } = parts;
  const { databaseUrl, executorId, concurrency, limits, retries } = config;
  // Closed in reverse, also when a later part cannot start.
  const opened: (() => Promise<unknown>)[] = [async () => tracing?.close(LAST_EXPORT_MS), runner.close];
  async function open<P extends { close: () => Promise<unknown> }>(opening: P | Promise<P>): Promise<P> {
    const part = await opening;
    opened.push(part.close);
    return part;
  }
  async function close(): Promise<void> {
    for (const closePart of opened.splice(0).reverse()) {
      await closePart().catch((error: unknown) => log.warn({ err: error }, 'a part did not close'));
    }
  }

  try {
    const onLost = (error: Error) => log.warn({ err: error }, 'lost a connection');
    const sessionName = createSessionName(executorId);
    const database = await open(openDatabase(databaseUrl, onLost, { name: sessionName('calls') }));
    // What must not wait behind calls and steps: heartbeats, and whether the database answers.
    const vitals = { name: sessionName('vital'), connections: 3, lockTimeoutMs: VITAL_LOCK_TIMEOUT_MS };
    const vital = await open(openDatabase(databaseUrl, onLost, vitals));
    await migrate(database, log);
    const onTaken = () => {
      log.fatal({ executor_id: executorId }, 'another orchestrator has taken the place of this one');
      onReplaced();
    };
    await open(holdExecutorLock({ databaseUrl, executorId, waitMs: PREDECESSOR_WAIT_MS, onTaken, log }));
    const listener = await open(startListener(databaseUrl, EVENTS_CHANNEL, log));
    const queue = await open(createStepQueue({ databaseUrl, database, limits, log }));

    await open(startEventRetention({ database, days: config.eventRetentionDays, metrics, log }));
    await open(startIdempotencyRetention({ database, log }));
    const billing = createBilling(config.billing);
    const change = createChangeWorkflow(database);
    const steps = createStepTransitions({ change, queue, billing, retries, metrics });
    const runs = createStepRuns({ steps, runner, metrics, log, tracing });
    const presence = await open(startPresence({ database: vital, executorId, seizeRuns: runs.seize, metrics, log }));
    // Two that set up the engine's own schema at the same time would deadlock.
    const turn = {
      lock: STARTUP_LOCK,
      waitMs: STARTUP_WAIT_MS,
      rival: 'another orchestrator on this database does not finish starting',
    };
    const workersParts = { databaseUrl, executorId, sessionName, concurrency, limits, runs, steps, log };
    const workers = await open(takeTurn(database, turn, () => startStepWorkers(workersParts)));
    await open(startWorkflowRetention({ database, days: config.retainDays, forgetRuns, metrics, log }));
    addDatabaseMetrics({
      registry: metrics.registry,
      database: vital,
      pools: { calls: database.pool, engine: workers.pool },
      log,
    });
    // Runs end before the workers: what a run answers after this is not recorded.
    opened.push(() => runs.stop(RUNNERS_GRACE_MS));

    const closing = new AbortController();
    const acceptance = createAcceptance({ database, queue, billing, findFault: runner.findFault, metrics });
    const workflows = createWorkflowTransitions({ change, queue, runs, billing, metrics });
    const feed = createEventFeed(database, listener);
    const service = createService({ database, acceptance, workflows, feed, closing: closing.signal });
    const readiness = createReadiness({ database: vital, presence, closing: closing.signal, log });
    const health = createHealth(readiness);
    const metricsServer = await open(startMetricsServer(config.metricsAddr, metrics.registry, readiness));
    const server = await startRpcServer({
      address: config.bindAddr,
      routes: (router) => router.service(OrchestratorService, service).service(Health, health),
      interceptors: [createCallObserver(log, tracing), refuseWhenCutOff(presence)],
      log,
      tls: config.tls,
      onExpiry: metrics.certificateEnds,
    });
    opened.push(() => server.close(CALLS_GRACE_MS));
    opened.push(async () => closing.abort());
    return { port: server.port, metricsPort: metricsServer.port, close };
  } catch (error) {
    await close();
    throw isUnusable(error) ? unreachable(databaseUrl, error as Error) : error;
  }
}

function createRunner(
  config: OrchestratorConfig,
  metrics: Metrics,
  { log, tracing }: Pick<OrchestratorParts, 'log' | 'tracing'>,
): Runner {
  const writer = createArtifactWriter(config.objectStore, metrics.artifactWritten);
  const { putArtifact } = writer;
  const sidecarFiles = config.sidecarTls && watchTlsFiles(config.sidecarTls, { log });
  const runner =
    config.runner === 'mock'
      ? createMockRunner({ stepSeconds: config.mockStepSeconds, putArtifact, log })
      : createSidecarRunner({
          endpoints: config.sidecars,
          putArtifact,
          onCapabilities: metrics.sidecarSaid,
          secureContext: sidecarFiles?.secureContext,
          log,
          tracing,
        });
  return {
    ...runner,
    async close() {
      await runner.close();
      sidecarFiles?.close();
      writer.close();
    },
  };
}
