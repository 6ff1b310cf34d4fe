import { OrchestratorService } from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { Health } from '../gen/grpc/health/v1/health_pb.ts';
import type { Log } from '../shared/log.ts';
import { createBilling } from './accounts/billing.ts';
import type { OrchestratorConfig } from './config.ts';
import { createAcceptance } from './engine/acceptance.ts';
import { createEventFeed } from './engine/event-feed.ts';
import { startEventRetention } from './engine/event-retention.ts';
import { startIdempotencyRetention } from './engine/idempotency-retention.ts';
import { createStepQueue } from './engine/step-queue.ts';
import { createStepRuns } from './engine/step-runs.ts';
import { createStepTransitions } from './engine/step-transitions.ts';
import { startStepWorkers } from './engine/step-workers.ts';
import { createWorkflowTransitions } from './engine/workflow-transitions.ts';
import { createHealth } from './health.ts';
import { createMetrics, startMetricsServer } from './metrics.ts';
import { createCallObserver } from './observe-calls.ts';
import { startRpcServer } from './rpc-server.ts';
import { createArtifactWriter } from './runners/artifact-writer.ts';
import { createMockRunner } from './runners/mock.ts';
import type { Runner } from './runners/runner.ts';
import { createService } from './service.ts';
import { isUnusable, openDatabase, unreachable } from './store/database.ts';
import { EVENTS_CHANNEL } from './store/events.ts';
import { holdExecutorLock } from './store/executor-lock.ts';
import { startListener } from './store/listener.ts';
import { migrate } from './store/migrations.ts';
import { takeStartupTurn } from './store/startup-turn.ts';

// A little longer than the server takes to find out that the session of a host that is gone has ended.
const PREDECESSOR_WAIT_MS = 12_000;
const STARTUP_TURN_WAIT_MS = 60_000;
const CALLS_GRACE_MS = 2_000;
const RUNNERS_GRACE_MS = 3_000;

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
  /** Called when this orchestrator must not go on, because another has taken its place. */
  readonly onReplaced: () => void;
}

/**
 * Builds the program and opens its ports. One orchestrator per process: the durable engine is global.
 * Throws StartupError when the database or a port cannot be had; then nothing stays open.
 */
export async function startOrchestrator(config: OrchestratorConfig, parts: OrchestratorParts): Promise<Orchestrator> {
  const { log, runner = createRunner(config, parts.log), onReplaced } = parts;
  const { databaseUrl, executorId, concurrency } = config;
  // Closed in reverse, also when a later part cannot start.
  const opened: (() => Promise<unknown>)[] = [runner.close];
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
    const database = await open(openDatabase(databaseUrl, (error) => log.warn({ err: error }, 'lost a connection')));
    await migrate(database);
    const onTaken = () => {
      log.fatal({ executor_id: executorId }, 'another orchestrator has taken the place of this one');
      onReplaced();
    };
    await open(holdExecutorLock({ databaseUrl, executorId, waitMs: PREDECESSOR_WAIT_MS, onTaken, log }));
    const listener = await open(startListener(databaseUrl, EVENTS_CHANNEL, log));
    const queue = await open(createStepQueue(databaseUrl, database, log));

    const metrics = createMetrics();
    await open(startEventRetention({ database, days: config.eventRetentionDays, metrics, log }));
    await open(startIdempotencyRetention({ database, log }));
    const billing = createBilling(config.billing);
    const steps = createStepTransitions({ database, queue, billing, metrics });
    const runs = createStepRuns({ steps, runner, metrics, log });
    const startWorkers = () => startStepWorkers({ databaseUrl, executorId, concurrency, runs, steps, log });
    await open(takeStartupTurn(database, STARTUP_TURN_WAIT_MS, startWorkers));
    // Runs end before the workers: what a run answers after this is not recorded.
    opened.push(() => runs.stop(RUNNERS_GRACE_MS));

    const closing = new AbortController();
    const acceptance = createAcceptance({ database, queue, billing, metrics });
    const workflows = createWorkflowTransitions({ database, queue, runs, billing, metrics });
    const feed = createEventFeed(database, listener);
    const service = createService({ database, acceptance, workflows, feed, closing: closing.signal });
    const health = createHealth(database, log);
    const metricsServer = await open(startMetricsServer(config.metricsAddr, metrics.registry));
    const server = await startRpcServer({
      address: config.bindAddr,
      routes: (router) => router.service(OrchestratorService, service).service(Health, health),
      interceptors: [createCallObserver(log)],
      log,
    });
    opened.push(() => server.close(CALLS_GRACE_MS));
    opened.push(async () => closing.abort());
    return { port: server.port, metricsPort: metricsServer.port, close };
  } catch (error) {
    await close();
    throw isUnusable(error) ? unreachable(databaseUrl, error as Error) : error;
  }
}

function createRunner({ objectStore, mockStepSeconds }: OrchestratorConfig, log: Log): Runner {
  const writer = createArtifactWriter(objectStore);
  const runner = createMockRunner({ stepSeconds: mockStepSeconds, putArtifact: writer.putArtifact, log });
  return {
    run: runner.run,
    async close() {
      await runner.close();
      writer.close();
    },
  };
}
