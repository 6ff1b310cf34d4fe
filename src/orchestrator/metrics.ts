import { createServer } from 'node:http';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { listen } from '../shared/listen.ts';
import type { Address } from '../shared/settings.ts';
import type { WorkflowRow } from './store/workflows.ts';

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

export interface Metrics {
  readonly registry: Registry;
  /** Call once, after what became of the submission is certain. */
  readonly workflowSubmitted: (result: SubmissionResult) => void;
  /** Call once, after the end of the workflow is stored. */
  readonly workflowFinished: (workflow: WorkflowRow) => void;
  readonly stepFinished: (tool: string, outcome: 'succeeded' | 'failed' | 'cancelled') => void;
  /** Counts a step as in flight until the answer is called. */
  readonly stepRuns: () => () => void;
  /** Counts stored events that were deleted because of their age. */
  readonly eventsDeleted: (count: number) => void;
}

/** The metrics that dashboards know by name, in a registry of their own. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
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
  const steps = new Counter({
    name: 'foldforge_steps_total',
    help: 'Steps that have ended, by tool and outcome',
    labelNames: ['tool', 'outcome'],
    registers,
  });
  const duration = new Histogram({
    name: 'foldforge_workflow_duration_seconds',
    help: 'From the submission of a workflow to its end',
    buckets: [1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200, 86_400],
    registers,
  });
  const inFlight = new Gauge({ name: 'foldforge_steps_in_flight', help: 'Steps that run right now', registers });
  const deletedEvents = new Counter({
    name: 'foldforge_events_deleted_total',
    help: 'Stored events that were deleted because of their age',
    registers,
  });

  return {
    registry,
    workflowSubmitted: (result) => submissions.inc({ result }),
    workflowFinished({ state, createdUs, updatedUs }) {
      workflows.inc({ state: state.toLowerCase() });
      duration.observe(Number(updatedUs - createdUs) / 1e6);
    },
    stepFinished: (tool, outcome) => steps.inc({ tool, outcome }),
    stepRuns() {
      inFlight.inc();
      return () => inFlight.dec();
    },
    eventsDeleted: (count) => deletedEvents.inc(count),
  };
}

/** Serves `GET /metrics` in the Prometheus text format. Throws StartupError when it cannot listen. */
export async function startMetricsServer(address: Address, registry: Registry) {
  const server = createServer((request, response) => {
    const found = request.url?.split('?')[0] === '/metrics';
    if (!found || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(found ? 405 : 404, found ? { allow: 'GET, HEAD' } : {}).end();
      return;
    }
    registry.metrics().then(
      (body) => response.writeHead(200, { 'content-type': registry.contentType }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  const port = await listen(server, address);
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port, close };
}
