import { createServer, type ServerResponse } from 'node:http';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { listen } from '../shared/listen.ts';
import { addProcessMetrics } from '../shared/process-metrics.ts';
import type { Address } from '../shared/settings.ts';
import type { Readiness } from './readiness.ts';
import { TOOLS } from './runners/runner.ts';
import type { WorkflowRow } from './store/workflows.ts';

const PLAIN_TEXT = { 'content-type': 'text/plain; charset=utf-8' };

export const SUBMISSION_RESULTS = [
  'accepted',
  'replayed',
  'invalid',
  'in_flight',
  'reused',
  'key',
  'quota',
  'credits',
  'failed',
] as const;
export type SubmissionResult = (typeof SUBMISSION_RESULTS)[number];

/** How workflows and steps end. A counter begins at 0 with each, or Prometheus would not see the first one rise. */
const OUTCOMES = ['succeeded', 'failed', 'cancelled'] as const;
type Outcome = (typeof OUTCOMES)[number];

export interface Metrics {
  readonly registry: Registry;
  /** Of what the gRPC listener shows, in milliseconds since 1970. */
  readonly certificateEnds: (endsAtMs: number) => void;
  /** Call once, after what became of the submission is certain. */
  readonly workflowSubmitted: (result: SubmissionResult) => void;
  /** Call once, after the end of the workflow is stored. */
  readonly workflowFinished: (workflow: WorkflowRow) => void;
  readonly stepFinished: (tool: string, outcome: Outcome) => void;
  /** Call once for each attempt that failed and is made again by itself. */
  readonly stepRetried: (tool: string) => void;
  /** Call once for each attempt, with the time from when it could run to its start. */
  readonly stepWaited: (tool: string, seconds: number) => void;
  /** Undefined: the sidecar does not answer. */
  readonly sidecarSaid: (tool: string, capabilities: { readonly modelVersion: string } | undefined) => void;
  /** Counts steps that were taken over from a dead executor. */
  readonly stepsReaped: (count: number) => void;
  /** Counts a step as in flight until the answer is called. */
  readonly stepRuns: () => () => void;
  /** Counts stored events that were deleted because of their age. */
  readonly eventsDeleted: (count: number) => void;
  /** Counts workflows that were removed because of their age. */
  readonly workflowsDeleted: (count: number) => void;
  /** Call once for each file that was to be stored, with its size if it was, and the time that took. */
  readonly artifactWritten: (outcome: 'ok' | 'failed', sizeBytes: number, seconds: number) => void;
}

/** The metrics that dashboards know by name, in a registry of their own. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  addProcessMetrics(registry, 'orchestrator');
  const submissions = new Counter({
    name: 'foldforge_orchestrator_submissions_total',
    help: 'Submissions of workflows, by what became of them',
    labelNames: ['result'],
    registers,
  });
  for (const result of SUBMISSION_RESULTS) submissions.inc({ result }, 0);
  const workflows = new Counter({
    name: 'foldforge_workflows_total',
    help: 'Workflows that have ended, by their final state',
    labelNames: ['state'],
    registers,
  });
  for (const state of OUTCOMES) workflows.inc({ state }, 0);
  const steps = new Counter({
    name: 'foldforge_steps_total',
    help: 'Steps that have ended, by tool and outcome',
    labelNames: ['tool', 'outcome'],
    registers,
  });
  for (const tool of TOOLS) for (const outcome of OUTCOMES) steps.inc({ tool, outcome }, 0);
  const duration = new Histogram({
    name: 'foldforge_workflow_duration_seconds',
    help: 'From the submission of a workflow to its end',
    buckets: [1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200, 86_400],
    registers,
  });
  const retries = new Counter({
    name: 'foldforge_step_retries_total',
    help: 'Attempts of steps that failed and were made again by themselves, by tool',
    labelNames: ['tool'],
    registers,
  });
  for (const tool of TOOLS) retries.inc({ tool }, 0);
  const waits = new Histogram({
    name: 'foldforge_step_wait_seconds',
    help: 'From when a step could run to its start, by tool',
    labelNames: ['tool'],
    buckets: [0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400],
    registers,
  });
  const sidecars = new Gauge({
    name: 'foldforge_sidecar_info',
    help: 'Sidecars that answer, each with the version of its model',
    labelNames: ['tool', 'model_version'],
    registers,
  });
  const versions = new Map<string, string>();
  const reaped = new Counter({
    name: 'foldforge_reaped_steps_total',
    help: 'Steps that this orchestrator took over from dead ones',
    registers,
  });
  const inFlight = new Gauge({ name: 'foldforge_steps_in_flight', help: 'Steps that run right now', registers });
  const deletedEvents = new Counter({
    name: 'foldforge_events_deleted_total',
    help: 'Stored events that were deleted because of their age',
    registers,
  });
  const deletedWorkflows = new Counter({
    name: 'foldforge_workflows_deleted_total',
    help: 'Workflows that were removed because of their age',
    registers,
  });
  const writes = new Histogram({
    name: 'foldforge_artifact_write_duration_seconds',
    help: 'Time to store a file, repetitions included, by outcome',
    labelNames: ['outcome'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  for (const outcome of ['ok', 'failed']) writes.zero({ outcome });
  const writtenBytes = new Counter({
    name: 'foldforge_artifact_written_bytes_total',
    help: 'Bytes of files that were stored',
    registers,
  });

  const certificateExpiry = new Gauge({
    name: 'foldforge_orchestrator_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that gateways are shown ends, since 1970; missing without TLS',
    labelNames: ['certificate'],
    registers,
  });

  return {
    registry,
    certificateEnds: (endsAtMs) => certificateExpiry.set({ certificate: 'listener' }, endsAtMs / 1000),
    workflowSubmitted: (result) => submissions.inc({ result }),
    workflowFinished({ state, createdUs, updatedUs }) {
      workflows.inc({ state: state.toLowerCase() });
      duration.observe(Number(updatedUs - createdUs) / 1e6);
    },
    stepFinished: (tool, outcome) => steps.inc({ tool, outcome }),
    stepRetried: (tool) => retries.inc({ tool }),
    stepWaited: (tool, seconds) => waits.observe({ tool }, seconds),
    sidecarSaid(tool, capabilities) {
      sidecars.remove({ tool, model_version: versions.get(tool) ?? '' });
      if (!capabilities) return;
      versions.set(tool, capabilities.modelVersion);
      sidecars.set({ tool, model_version: capabilities.modelVersion }, 1);
    },
    stepsReaped: (count) => reaped.inc(count),
    stepRuns() {
      inFlight.inc();
      return () => inFlight.dec();
    },
    eventsDeleted: (count) => deletedEvents.inc(count),
    workflowsDeleted: (count) => deletedWorkflows.inc(count),
    artifactWritten(outcome, sizeBytes, seconds) {
      writes.observe({ outcome }, seconds);
      if (outcome === 'ok') writtenBytes.inc(sizeBytes);
    },
  };
}

/**
 * Serves `GET /metrics` in the Prometheus text format, and the probes of Kubernetes: `/livez`, and `/readyz`, which says
 * what is wrong. Throws StartupError when it cannot listen.
 */
export async function startMetricsServer(address: Address, registry: Registry, readiness: Readiness) {
  const pages: Readonly<Record<string, (response: ServerResponse) => Promise<unknown>>> = {
    async '/metrics'(response) {
      const body = await registry.metrics();
      response.writeHead(200, { 'content-type': registry.contentType }).end(body);
    },
    async '/livez'(response) {
      response.writeHead(200, PLAIN_TEXT).end('ok\n');
    },
    async '/readyz'(response) {
      const fault = await readiness.findFault();
      response.writeHead(fault ? 503 : 200, PLAIN_TEXT).end(`${fault ?? 'ok'}\n`);
    },
  };
  const server = createServer((request, response) => {
    const page = request.url?.split('?')[0] ?? '';
    const known = Object.hasOwn(pages, page);
    if (!known || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(known ? 405 : 404, known ? { allow: 'GET, HEAD' } : {}).end();
      return;
    }
    pages[page]!(response).catch(() => response.writeHead(500).end());
  });
  const port = await listen(server, address);
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port, close };
}
