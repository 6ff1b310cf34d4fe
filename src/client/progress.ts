import { MultiBar, Presets, type SingleBar } from 'cli-progress';
import type { StepStatus, Workflow } from './contract.ts';
import { type Output, printable } from './output.ts';

export interface Progress {
  readonly update: (status: StepStatus) => void;
  readonly stop: () => void;
}

const LONGEST_LABEL = 40;
const LONGEST_BAR = 30;
const SHORTEST_BAR = 5;
/** The spaces, the percentage, and the longest state with its colour, which cli-progress counts too. */
const BESIDE_LABEL_AND_BAR = 30;

/** Shows each step's progress on standard output: bars on a terminal that has room for them, lines elsewhere. */
export function createProgress(workflow: Workflow, output: Output): Progress {
  const { rows = 24, columns = 80 } = output.stdout;
  const labels = new Map(workflow.steps.map((step) => [step.id, labelOf(step)]));
  const labelSize = Math.min(LONGEST_LABEL, Math.max(...[...labels.values()].map(({ length }) => length)));
  const barSize = Math.min(LONGEST_BAR, columns - labelSize - BESIDE_LABEL_AND_BAR);
  const hasRoom = labels.size < rows && barSize >= SHORTEST_BAR;
  return output.isTerminal && hasRoom
    ? createBars(labels, output, { labelSize, barSize })
    : createLines(labels, output);
}

/** A step's id to what people see. */
type Labels = ReadonlyMap<string, string>;

function createBars(labels: Labels, output: Output, { labelSize, barSize }: { labelSize: number; barSize: number }) {
  const multi = new MultiBar(
    {
      stream: output.stdout as NodeJS.WritableStream,
      format: '  {step} {bar} {percentage}%  {state}',
      barsize: barSize,
      hideCursor: true,
      forceRedraw: true,
      linewrap: false,
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  output.divertNotes((line) => multi.log(`${line}\n`));
  const bars = new Map<string, SingleBar>();
  // A bar has no room for them: they are shown at the end.
  const faults = new Map<string, string>();
  for (const [id, label] of labels) {
    const step = label.slice(0, labelSize).padEnd(labelSize);
    bars.set(id, multi.create(100, 0, { step, state: output.state('QUEUED') }));
  }
  return {
    update({ step_id, fraction, state, error }: StepStatus) {
      faults.set(step_id, formatFault(error));
      bars.get(step_id)?.update(Math.round(fraction * 100), { state: output.state(state) });
    },
    stop() {
      output.divertNotes();
      multi.stop();
      for (const [id, fault] of faults) if (fault) output.print(`  ${labels.get(id)}${fault}`);
    },
  };
}

function createLines(labels: Labels, output: Output): Progress {
  const shown = new Map([...labels.keys()].map((id) => [id, 'QUEUED 0%']));
  return {
    update({ step_id, fraction, state, error }) {
      // A line for each change of state, and for each quarter of the way.
      const quarter = `${state} ${Math.floor(fraction * 4) * 25}%`;
      if (shown.get(step_id) === quarter) return;
      shown.set(step_id, quarter);
      output.print(
        `  ${labels.get(step_id)}  ${output.state(state)} ${Math.round(fraction * 100)}%${formatFault(error)}`,
      );
    },
    stop: () => undefined,
  };
}

function labelOf({ id, tool }: { id: string; tool: string }): string {
  return printable(`${id} (${tool})`);
}

function formatFault(error: StepStatus['error']): string {
  return error ? `  ${printable(`${error.code}: ${error.message}`)}` : '';
}
