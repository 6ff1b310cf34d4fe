import type { Workflow } from './contract.ts';
import { type Output, printable } from './output.ts';
import { formatTable } from './table.ts';

/** A workflow for people, as lines. */
export function describeWorkflow(workflow: Workflow, output: Output): string[] {
  const { id, name, state, labels, created_at, updated_at, steps, step_statuses } = workflow;
  const tools = new Map(steps.map((step) => [step.id, step.tool]));
  const facts = [
    ['id', id],
    ['name', printable(name)],
    ['state', output.state(state)],
    ['labels', printable(formatLabels(labels))],
    ['created', formatTime(created_at)],
    ['updated', formatTime(updated_at)],
  ].filter(([, value]) => value !== '');
  const rows = step_statuses.map(({ step_id, state: stepState, fraction, outputs, sequences, error }) => [
    printable(step_id),
    printable(tools.get(step_id) ?? ''),
    output.state(stepState),
    `${Math.round(fraction * 100)}%`,
    outputs.length === 0 ? '' : String(outputs.length),
    sequences.length === 0 ? '' : String(sequences.length),
    error ? printable(`${error.code}: ${error.message}`) : '',
  ]);
  return [
    ...facts.map(([title, value]) => `${title!.padEnd(7)}  ${value}`),
    '',
    ...formatTable(['STEP', 'TOOL', 'STATE', 'DONE', 'FILES', 'SEQUENCES', 'ERROR'], rows),
  ];
}

export function formatLabels(labels: Workflow['labels']): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** RFC 3339, to the second. */
export function formatTime(time: string | undefined): string {
  return time?.replace(/\.\d+Z$/, 'Z') ?? '';
}
