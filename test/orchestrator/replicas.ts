import { after, before } from 'node:test';
import { create, type JsonObject } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  type WorkflowEvent,
  type WorkflowSpec,
  WorkflowSpecSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { Health, HealthCheckResponse_ServingStatus } from '../../src/gen/grpc/health/v1/health_pb.ts';
import type { Tool } from '../../src/orchestrator/runners/runner.ts';
import { type ExternalPostgres, startExternalPostgres } from '../support/external-postgres.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { within } from '../support/waiting.ts';
import { eventually, type OrchestratorClient, stateIn } from './harness.ts';
import { createPrograms, type Settings, settingsFor } from './program.ts';

export type Replica = Awaited<ReturnType<ReturnType<typeof createReplicas>['start']>>;

/** For a suite of tests: a Postgres over TCP, an object store and replicas, from before its tests until after them. */
export function useReplicas() {
  const scene = {} as {
    postgres: ExternalPostgres;
    objectStore: TestObjectStore;
    replicas: ReturnType<typeof createReplicas>;
  };
  before(async () => {
    [scene.postgres, scene.objectStore] = await Promise.all([startExternalPostgres(), startTestObjectStore()]);
    scene.replicas = createReplicas(scene.objectStore);
  });
  after(async () => {
    await scene.replicas?.close();
    await scene.objectStore?.close();
    await scene.postgres?.close();
  });
  return scene;
}

/** Starts orchestrators of their own names, several of them on one database; `close` ends whatever still runs. */
export function createReplicas(objectStore: TestObjectStore) {
  const programs = createPrograms();
  const sessions = new Set<Http2SessionManager>();

  /** Without EXECUTOR_ID it names itself, as in production. */
  function complete(databaseUrl: string, settings: Settings): Settings {
    const { EXECUTOR_ID: _, ...defaults } = settingsFor(databaseUrl, objectStore);
    return { ...defaults, ...settings };
  }

  /** Settings are named without their prefix. */
  async function start(databaseUrl: string, settings: Settings = {}) {
    const program = await programs.start(complete(databaseUrl, settings));
    const [, address, metrics, executorId] = await program.prints(
      /"address":"([^"]+)","metrics":"([^"]+)","executor_id":"([^"]+)","msg":"ready"/,
    );
    const session = new Http2SessionManager(`http://${address}`);
    sessions.add(session);
    const health = createClient(Health, createGrpcTransport({ baseUrl: session.authority, sessionManager: session }));

    /** The sum over all series of a metric; 0 when it has none yet. */
    async function metric(name: string): Promise<number> {
      const response = await fetch(`http://${metrics}/metrics`, { signal: AbortSignal.timeout(5_000) });
      const series = (await response.text()).matchAll(new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, 'gm'));
      return [...series].reduce((sum, [, value]) => sum + Number(value), 0);
    }

    return {
      ...program,
      executorId: executorId!,
      metric,
      /** How many steps it runs right now. */
      inFlight: () => metric('foldforge_steps_in_flight'),
      /** How many steps have ended here. */
      ended: () => metric('foldforge_steps_total'),
      isServing: async (timeoutMs = 5_000) =>
        (await health.check({}, { timeoutMs })).status === HealthCheckResponse_ServingStatus.SERVING,
    };
  }

  async function close(): Promise<void> {
    for (const session of sessions) session.abort();
    sessions.clear();
    await programs.close();
  }

  return {
    start,
    /** What one that ends by itself has printed. */
    finish: (databaseUrl: string, settings: Settings = {}) => programs.finish(complete(databaseUrl, settings)),
    close,
  };
}

/** Steps that wait for nothing, by id what the mock runner is asked of them, such as `{ seconds: 3 }`. */
export function mockSpec(steps: Readonly<Record<string, JsonObject>>, tool: Tool = 'rfdiffusion'): WorkflowSpec {
  const params = { sequence: 'MKTAYIAKQR' };
  return create(WorkflowSpecSchema, {
    name: 'replicas',
    steps: Object.entries(steps).map(([id, mock]) => ({ id, tool, params: { ...(tool === 'af2' && params), mock } })),
  });
}

/** So many steps of the same kind. */
export function fanOut(count: number, mock: JsonObject, tool?: Tool): WorkflowSpec {
  const steps = Array.from({ length: count }, (_, index) => [`s${index + 1}`, mock] as const);
  return mockSpec(Object.fromEntries(steps), tool);
}

/** The one that runs a step now, then the others; waits until there is such a one. */
export async function whoRuns(replicas: readonly Replica[]): Promise<readonly [Replica, ...Replica[]]> {
  const running = await eventually('a replica that runs the step', async () => {
    for (const replica of replicas) if ((await replica.inFlight()) > 0) return replica;
    return undefined;
  });
  return [running, ...replicas.filter((replica) => replica !== running)];
}

/**
 * How many steps have ended at each, as soon as they are `least` together: an end is counted after it is told, so whoever
 * has read of it elsewhere may be too early.
 */
export async function readEnded(replicas: readonly Pick<Replica, 'ended'>[], least: number): Promise<number[]> {
  return await eventually(`the count of ${least} steps that have ended`, async () => {
    const counts = await Promise.all(replicas.map(({ ended }) => ended()));
    return counts.reduce((sum, count) => sum + count, 0) >= least && counts;
  });
}

/** Waits until the workflow is over, and answers with it. */
export async function untilOver(client: OrchestratorClient, workflowId: string, deadlineMs = 30_000) {
  return await eventually(
    `the end of workflow ${workflowId}`,
    async () => {
      const workflow = await client.getWorkflow({ workflowId });
      return workflow.state !== JobState.QUEUED && workflow.state !== JobState.RUNNING && workflow;
    },
    deadlineMs,
  );
}

/** Follows a workflow to its end. For each event: how long after it was made it came, in milliseconds. */
export async function readLatencies(client: OrchestratorClient, workflowId: string): Promise<number[]> {
  const latenciesMs: number[] = [];
  const reading = (async () => {
    for await (const { eventId, at } of client.streamWorkflowEvents({ workflowId, replay: true })) {
      // The first one is there before the stream is opened, by the one who opens it.
      if (eventId > 1n) latenciesMs.push(Date.now() - timestampMs(at!));
    }
  })();
  await within(`the end of workflow ${workflowId}`, reading, 15_000);
  return latenciesMs;
}

/** From a commit to the news of it elsewhere, in milliseconds. */
const NEWS_MS = 250;
/** So many may come later: on a busy machine anybody waits now and then. */
const LATE_SHARE = 0.05;
/** Whoever only asks from time to time, because nobody notifies it, does so after 5 s. */
const POLLED_MS = 2_000;

/** What is wrong with how long after their making events have come, in milliseconds. */
export function findLate(latenciesMs: readonly number[]): string[] {
  const late = latenciesMs.filter((ms) => ms >= NEWS_MS);
  const longestMs = Math.max(...latenciesMs);
  return [
    ...(late.length > latenciesMs.length * LATE_SHARE ? [`${late.length} of ${latenciesMs.length} came late`] : []),
    ...(longestMs >= POLLED_MS ? [`one came after ${longestMs} ms`] : []),
  ];
}

/** What no history may have: gaps and repeats in its ids, progress that goes back, and a step that ends well twice. */
export function faultsIn(events: readonly WorkflowEvent[]): string[] {
  const faults: string[] = [];
  const succeeded = new Set<string>();
  const fractions = new Map<string, number>();
  for (const [index, event] of events.entries()) {
    if (Number(event.eventId) !== index + 1) faults.push(`event ${index + 1} has the id ${event.eventId}`);
    if (event.event.case !== 'stepUpdate') continue;
    const { stepId, state, fraction } = event.event.value;
    if (succeeded.has(stepId)) faults.push(`step ${stepId} goes on after its end`);
    if (state === JobState.SUCCEEDED) succeeded.add(stepId);
    if (state === JobState.RUNNING && fraction < (fractions.get(stepId) ?? 0)) {
      faults.push(`the progress of step ${stepId} goes back`);
    }
    // Another attempt begins anew.
    fractions.set(stepId, state === JobState.QUEUED ? 0 : fraction);
  }
  const last = stateIn(events.at(-1));
  if (last === JobState.SUCCEEDED) {
    const all = events.flatMap(({ event }) => (event.case === 'stepUpdate' ? [event.value.stepId] : []));
    for (const stepId of new Set(all)) if (!succeeded.has(stepId)) faults.push(`step ${stepId} has not ended well`);
  }
  return faults;
}
