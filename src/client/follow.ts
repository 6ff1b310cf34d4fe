import type { ApiClient } from './api.ts';
import type { CommandCall, Options } from './command.ts';
import type { State, StepStatus, Workflow, WorkflowEvent } from './contract.ts';
import { exitCodeOfState } from './exit-codes.ts';
import type { Output } from './output.ts';
import { createProgress } from './progress.ts';
import type { WatchedEvent, WatchOptions } from './watch.ts';

/** Who watches has time: a network may be away for a while. */
const WATCH_TIMEOUT_MS = 600_000;

/** Follows a workflow for a command. Answers with the exit code of its outcome. */
export async function watchToEnd(
  { api, output, timeoutMs = WATCH_TIMEOUT_MS }: Pick<CommandCall<Options>, 'api' | 'output' | 'timeoutMs'>,
  workflow: Workflow,
  from?: string,
): Promise<number> {
  const state = await followWorkflow(api, workflow, output, { from, timeoutMs }).catch((error: unknown) => {
    output.note(`foldforge: the workflow goes on by itself; foldforge watch ${workflow.id} shows it again`);
    throw error;
  });
  output.print(`Workflow ${workflow.id} ${output.state(state)}`);
  return exitCodeOfState(state);
}

/**
 * Shows a workflow to its end, over lost connections and restarts: bars, lines, or each event as a line of JSON. Answers
 * with its last state.
 */
export async function followWorkflow(
  api: ApiClient,
  workflow: Workflow,
  output: Output,
  options: WatchOptions = {},
): Promise<State> {
  const events = api.watchWorkflow(workflow.id, options);
  if (!output.isJson) return showProgress(api, workflow, events, output);
  for await (const event of events) {
    output.printJson(event, { compact: true });
    if (event.event === 'end') return event.data.state;
  }
  throw new Error('a watch has ended without its last event');
}

async function showProgress(
  api: ApiClient,
  workflow: Workflow,
  events: AsyncIterable<WatchedEvent>,
  output: Output,
): Promise<State> {
  const progress = createProgress(workflow, output);
  try {
    for await (const event of events) {
      if (event.event === 'end') return event.data.state;
      if (event.event === 'gap') output.note(`Events after ${event.data.requested} are no longer stored.`);
      const statuses =
        event.event === 'gap' ? (await api.getWorkflow(workflow.id)).step_statuses : statusesOf(event.data);
      for (const status of statuses) progress.update(status);
    }
    throw new Error('a watch has ended without its last event');
  } finally {
    progress.stop();
  }
}

function statusesOf({ step_update, workflow_update }: WorkflowEvent): readonly StepStatus[] {
  return step_update ? [step_update] : (workflow_update?.step_statuses ?? []);
}
