import { MultiBar, Presets, type SingleBar } from 'cli-progress';
import type { StepStatusJson, WorkflowJson } from './api.ts';

export interface Progress {
  readonly update: (status: StepStatusJson) => void;
  readonly stop: () => void;
}

/** Shows each step's progress on standard output: bars on a terminal, lines elsewhere. */
export function createProgress(workflow: WorkflowJson): Progress {
  return process.stdout.isTTY ? createBars(workflow) : createLines(workflow);
}

function createBars(workflow: WorkflowJson): Progress {
  const format = '  {step} {bar} {percentage}%  {state}';
  const multi = new MultiBar(
    { format, barsize: 30, hideCursor: true, forceRedraw: true, linewrap: false },
    Presets.shades_classic,
  );
  const width = Math.max(...workflow.steps.map((step) => labelOf(step).length));
  const bars = new Map<string, SingleBar>();
  for (const step of workflow.steps) {
    bars.set(step.id, multi.create(100, 0, { step: labelOf(step).padEnd(width), state: 'QUEUED' }));
  }
  return {
    update: ({ step_id, fraction, state }) => bars.get(step_id)?.update(Math.round(fraction * 100), { state }),
    stop: () => multi.stop(),
  };
}

function createLines(workflow: WorkflowJson): Progress {
  const labels = new Map(workflow.steps.map((step) => [step.id, labelOf(step)]));
  const shown = new Map<string, string>();
  return {
    update({ step_id, fraction, state, error }) {
      // A line for each change of state, and for each quarter of the way.
      const quarter = `${state} ${Math.floor(fraction * 4) * 25}%`;
      if (shown.get(step_id) === quarter) return;
      shown.set(step_id, quarter);
      const reason = error ? `  ${error.code}: ${error.message}` : '';
      process.stdout.write(`  ${labels.get(step_id)}  ${state} ${Math.round(fraction * 100)}%${reason}\n`);
    },
    stop: () => undefined,
  };
}

function labelOf({ id, tool }: { id: string; tool: string }): string {
  return `${id} (${tool})`;
}
