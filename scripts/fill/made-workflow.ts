import { createHash, randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { WorkflowSpecSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { queuedStep } from '../../src/orchestrator/engine/as-accepted.ts';
import type { Random } from '../../src/orchestrator/runners/mock/random.ts';
import { type StepOutput, TOOLS } from '../../src/orchestrator/runners/runner.ts';
import type { StepRow } from '../../src/orchestrator/store/steps.ts';
import type { State, WorkflowRow } from '../../src/orchestrator/store/workflows.ts';
import { type Change, encodeEvent, encodeSpec } from '../../src/orchestrator/wire.ts';
import { type Labels, labelsAt, ownerAt, stateAt } from './distributions.ts';

export interface MadeWorkflow {
  readonly workflow: WorkflowRow;
  /** WorkflowSpec as protobuf bytes. */
  readonly spec: Uint8Array;
  readonly labels: Labels;
  readonly steps: readonly StepRow[];
  /** WorkflowEvents as protobuf bytes, with the ids 1, 2, … */
  readonly events: readonly Uint8Array[];
}

export interface MadePlace {
  /** Of all workflows, the oldest is the first. */
  readonly index: number;
  readonly total: number;
  /** When it was submitted, in microseconds since 1970. */
  readonly createdUs: bigint;
  /** How many events to give it. It has as many more as its steps need, and as many fewer as it has not come to. */
  readonly events: number;
}

const SECOND_US = 1_000_000n;

/** One workflow with its whole story, as the program would have stored it. */
export function makeWorkflow({ index, total, createdUs, events: wanted }: MadePlace, random: Random): MadeWorkflow {
  const id = randomUUID();
  const labels = labelsAt(index, total, random);
  const count = Math.min(random.whole(1, 6), random.whole(1, 6));
  const spec = encodeSpec(
    create(WorkflowSpecSchema, {
      name: `design ${index}`,
      labels,
      steps: Array.from({ length: count }, (_, position) => ({
        id: stepIdAt(position),
        tool: toolAt(position),
        dependsOn: dependenciesOf(position),
        params: { contigs: '100-120', num_designs: random.whole(1, 8), seed: index },
      })),
    }),
  );
  const owner = ownerAt(index, total, random);
  const end = stateAt(index, total);
  let steps: readonly StepRow[] = Array.from({ length: count }, (_, position) => queuedStepAt(position));
  let workflow: WorkflowRow = {
    id,
    owner,
    state: 'QUEUED',
    lastEventId: 0n,
    charged: 0n,
    charges: 0,
    traceparent: null,
    createdUs,
    updatedUs: createdUs,
  };
  const events: Uint8Array[] = [];

  function tell(state: State, change: Change): void {
    const lastEventId = workflow.lastEventId + 1n;
    workflow = { ...workflow, state, lastEventId, updatedUs: createdUs + (lastEventId - 1n) * SECOND_US };
    events.push(encodeEvent(workflow, lastEventId, change));
  }
  const tellAll = (state: State) => tell(state, { workflow: { spec, steps } });
  function move(position: number, state: State, changed: Partial<StepRow>): void {
    const step = { ...steps[position]!, ...changed };
    steps = steps.with(position, step);
    tell(state, { step });
  }

  tellAll('QUEUED');
  if (end === 'QUEUED') return { workflow, spec, labels, steps, events };
  tellAll('RUNNING');
  const pauses = Math.max(0, wanted - 3 - 2 * count);
  for (let position = 0; position < count; position++) {
    const last = position === count - 1;
    move(position, 'RUNNING', { state: 'RUNNING', startedUs: workflow.updatedUs });
    const reports = Math.floor((pauses * (position + 1)) / count) - Math.floor((pauses * position) / count);
    for (let report = 1; report <= reports; report++) {
      move(position, 'RUNNING', { fraction: Math.fround(report / (reports + 1)) });
    }
    if (last && end === 'RUNNING') break;
    const finishedUs = workflow.updatedUs;
    if (!last || end === 'SUCCEEDED') {
      const output = makeOutput(`${id}/${position}`, random);
      move(position, 'RUNNING', { state: 'SUCCEEDED', fraction: 1, output, finishedUs });
    } else if (end === 'FAILED') {
      const fault = { code: 'OOM', message: 'CUDA out of memory: tried to allocate 2.50 GiB', retryable: true };
      move(position, 'RUNNING', { state: 'FAILED', fault, finishedUs });
    } else move(position, 'RUNNING', { state: 'CANCELLED', finishedUs });
  }
  if (end !== 'RUNNING') tellAll(end);
  return { workflow, spec, labels, steps, events };
}

const stepIdAt = (position: number) => `step-${position + 1}`;
const toolAt = (position: number) => TOOLS[position % TOOLS.length]!;
const dependenciesOf = (position: number) => (position === 0 ? [] : [stepIdAt(position - 1)]);

const queuedStepAt = (position: number): StepRow =>
  queuedStep({ id: stepIdAt(position), tool: toolAt(position), dependsOn: dependenciesOf(position) });

function makeOutput(content: string, random: Random): StepOutput {
  const sha256 = createHash('sha256').update(content).digest('hex');
  const artifact = {
    uri: `r2://foldforge/artifacts/${sha256}.pdb`,
    contentType: 'chemical/x-pdb',
    sizeBytes: random.whole(20_000, 400_000),
    sha256,
    metrics: { plddt: random.between(40, 95), ptm: random.fraction() },
  };
  return { artifacts: [artifact], sequences: [] };
}
