import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type CallOptions, type Client, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import type { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  OrchestratorService,
  type WorkflowEvent,
  type WorkflowSpec,
  WorkflowSpecSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { readOrchestratorConfig } from '../../src/orchestrator/config.ts';
import { startOrchestrator } from '../../src/orchestrator/orchestrator.ts';
import type { Runner, StepJob, StepOutcome } from '../../src/orchestrator/runners/runner.ts';
import { createLog, type Log } from '../../src/shared/log.ts';
import { until, within } from '../support/waiting.ts';

export type OrchestratorClient = Client<typeof OrchestratorService>;

/** Asks again and again until the answer is neither false nor undefined. */
export async function eventually<T>(
  label: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 8_000,
): Promise<T> {
  let answer: T | undefined | false;
  const answered = async () => {
    answer = await ask();
    return answer !== undefined && answer !== false;
  };
  await until(label, answered, deadlineMs);
  return answer as T;
}

export interface Rpc {
  readonly client: OrchestratorClient;
  readonly transport: ReturnType<typeof createGrpcTransport>;
  readonly close: () => void;
}

export function connect(port: number): Rpc {
  const baseUrl = `http://127.0.0.1:${port}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  const transport = createGrpcTransport({ baseUrl, sessionManager });
  return { client: createClient(OrchestratorService, transport), transport, close: () => sessionManager.abort() };
}

export function as(principal: string): CallOptions {
  return { headers: { 'ff-principal': principal } };
}

export type Work = (
  job: StepJob,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
) => Promise<StepOutcome> | StepOutcome;

export interface ScriptedRunner extends Omit<Runner, 'findFault'> {
  findFault: Runner['findFault'];
  /** Every job that was begun, in order. */
  readonly jobs: StepJob[];
  work: Work;
}

export const nothing: StepOutcome = { output: { artifacts: [], sequences: [] } };

/** A runner that does what the test says; at first nothing, at once. */
export function createScriptedRunner(): ScriptedRunner {
  const jobs: StepJob[] = [];
  const runner: ScriptedRunner = {
    jobs,
    work: () => nothing,
    findFault: () => undefined,
    async run(job, onProgress, signal) {
      jobs.push(job);
      return await runner.work(job, (fraction) => onProgress({ fraction, message: '' }), signal);
    },
    close: async () => {},
  };
  return runner;
}

/** Never ends by itself. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
}

export const failure = (code: string): StepOutcome => ({ fault: { code, message: `${code}!`, retryable: false } });

/** An orchestrator on free ports, in this process. */
export async function startTestOrchestrator(
  databaseUrl: string,
  runner: Runner,
  settings: Readonly<Record<string, string>> = {},
  log: Log = createLog('test', (process.env.TEST_LOG ?? 'silent') as 'silent'),
) {
  const environment: Record<string, string> = {
    FOLDFORGE_ORCH__DATABASE_URL: databaseUrl,
    FOLDFORGE_ORCH__BIND_ADDR: '127.0.0.1:0',
    FOLDFORGE_ORCH__METRICS_ADDR: '127.0.0.1:0',
    FOLDFORGE_ORCH__EXECUTOR_ID: 'local',
    FOLDFORGE_ORCH__R2_ENDPOINT: 'http://127.0.0.1:9',
  };
  for (const [name, value] of Object.entries(settings)) environment[`FOLDFORGE_ORCH__${name}`] = value;
  const onReplaced = () => {
    // Nobody else runs on a test's database: this ends the test.
    queueMicrotask(() => {
      throw new Error('another orchestrator has taken the place of the one in this test');
    });
  };
  const orchestrator = await startOrchestrator(readOrchestratorConfig(environment), { log, runner, onReplaced });
  const rpc = connect(orchestrator.port);
  return {
    ...rpc,
    port: orchestrator.port,
    metricsPort: orchestrator.metricsPort,
    /** Stops the orchestrator while the client is still connected. */
    async closeServer() {
      await orchestrator.close();
      rpc.close();
    },
    async close() {
      rpc.close();
      await orchestrator.close();
    },
  };
}

/** A spec out of `{ step: its dependencies }`. */
export function specOf(
  graph: Readonly<Record<string, readonly string[]>>,
  rest: Omit<MessageInitShape<typeof WorkflowSpecSchema>, 'steps' | '$typeName' | '$unknown'> = {},
): WorkflowSpec {
  const steps = Object.entries(graph).map(([id, dependsOn]) => ({
    id,
    tool: 'rfdiffusion',
    dependsOn: [...dependsOn],
  }));
  return create(WorkflowSpecSchema, { name: 'test', ...rest, steps });
}

/** For the longest workflow of any test on the slowest machine: only a stream that hangs takes so long. */
const STREAM_MS = 30_000;

/** Every event of a stream, up to its end. */
export async function collect(stream: AsyncIterable<WorkflowEvent>, label = 'the end of the stream') {
  const events: WorkflowEvent[] = [];
  const reading = (async () => {
    for await (const event of stream) events.push(event);
  })();
  await within(label, reading, STREAM_MS);
  return events;
}

/** The state that an event tells, of its step or of the whole workflow; undefined for a gap and for no event. */
export function stateIn(event: WorkflowEvent | undefined): JobState | undefined {
  const change = event?.event;
  return change?.case === 'stepUpdate' || change?.case === 'workflowUpdate' ? change.value.state : undefined;
}

/** The code of the ConnectError that `promise` rejects with, and its message. */
export async function refusal(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error('was not refused');
}
