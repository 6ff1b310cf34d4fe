import { EX_USAGE, StartupError } from '../../shared/startup-error.ts';
import { checkLabels, defineCommand, parseCount } from '../command.ts';
import type { State, Workflow } from '../contract.ts';
import { type Output, printable } from '../output.ts';
import { formatLabels, formatTime } from '../show-workflow.ts';
import { formatTable } from '../table.ts';

const STATES: readonly State[] = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'];

export const list = defineCommand({
  positionals: [],
  about: 'List your workflows, newest first',
  options: {
    state: { type: 'string', value: 'STATE', about: `only those in this state: ${STATES.join(', ')}` },
    label: {
      type: 'string',
      multiple: true,
      value: 'K=V',
      about: 'only those with this label; all of several must match',
    },
    limit: { type: 'string', value: 'N', about: 'how many at the most (50); 0 means all' },
  },
  async run({ values, api, output }) {
    const labels = checkLabels(values.label ?? []);
    const limit = parseCount('--limit', values.limit ?? '50');
    const { workflows, isCut } = await api.listWorkflows({ state: readState(values.state), labels, limit });
    output.printJson({ workflows });
    if (workflows.length > 0) for (const line of tableOf(workflows, output)) output.print(line);
    else if (!output.isJson) output.note('no workflows');
    if (isCut && !output.isJson) output.note(`only the newest ${limit}; --limit 0 lists all`);
    return 0;
  },
});

function readState(text: string | undefined): State | undefined {
  if (text === undefined) return undefined;
  const state = STATES.find((known) => known === text.toUpperCase());
  if (state) return state;
  throw new StartupError(`--state is "${text}", but must be one of ${STATES.join(', ')}`, EX_USAGE);
}

function tableOf(workflows: readonly Workflow[], output: Output): string[] {
  const rows = workflows.map(({ id, name, state, labels, step_statuses, created_at }) => {
    const done = step_statuses.filter((step) => step.state === 'SUCCEEDED').length;
    // Names have characters of any width, so they come last.
    return [
      id,
      output.state(state),
      `${done}/${step_statuses.length}`,
      formatTime(created_at),
      printable(formatLabels(labels)),
      printable(name),
    ];
  });
  return formatTable(['ID', 'STATE', 'STEPS', 'CREATED', 'LABELS', 'NAME'], rows);
}
