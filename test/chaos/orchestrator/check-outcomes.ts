import type { Evidence, StoredHistory } from './evidence.ts';
import { isRetried, type Story } from './story.ts';

/** The refusals that the plan provokes: no credits, and no quota. */
const REFUSALS = [402, 429];

/** What is wrong with what became of each order: one workflow or a refusal, and the end that was meant for it. */
export function checkOutcomes({ histories, stories, queue, objects }: Evidence): string[] {
  const byOrder = Map.groupBy(histories, ({ order }) => order);
  const orders = stories.flatMap((story) => {
    const own = byOrder.get(story.order.name) ?? [];
    return checkStory(story, own).map((fault) => `${story.order.name} (${own[0]?.id ?? 'no workflow'}): ${fault}`);
  });
  const left = queue.map(({ id, status }) => `${id} is ${status} in the queue, though everything is over`);
  return [...orders, ...left, ...histories.flatMap((history) => checkFiles(history, objects))];
}

function checkStory(story: Story, own: readonly StoredHistory[]): string[] {
  const { submitted, order, isOver, cancelled, retried } = story;
  if (!submitted) return ['was never answered'];
  if (own.length > 1) return [`has ${own.length} workflows`];
  const [history] = own;
  if (submitted.status !== 201) {
    if (history) return [`was answered with ${submitted.status}, but there is a workflow`];
    return REFUSALS.includes(submitted.status)
      ? []
      : [`was answered with ${submitted.status} ${submitted.code ?? ''}, which nobody should be`];
  }
  if (!history) return [`was accepted as ${submitted.id}, but there is no workflow`];
  const faults: string[] = [];
  if (submitted.id !== history.id) faults.push(`was accepted as ${submitted.id}`);
  if (!isOver) faults.push('its watcher did not come to an end');
  const wanted = stateOf(story);
  if (history.state !== wanted) faults.push(`is ${history.state}, but should be ${wanted}: it ${order.ending}`);
  if (cancelled && cancelled.status !== 200) faults.push(`its cancellation was answered with ${cancelled.status}`);
  const refused = retried.filter((answer) => !isRetried(answer) && answer.status !== 402);
  faults.push(...refused.map(({ status }) => `its retry was answered with ${status}`));
  const live = history.steps.filter(({ state }) => state === 'RUNNING' || (state === 'QUEUED' && wanted !== 'FAILED'));
  faults.push(...live.map(({ id, state }) => `step ${id} is ${state} for ever`));
  return faults;
}

function stateOf({ order, cancelled, retried }: Story): string {
  if (order.ending === 'fails') return 'FAILED';
  // There were no credits left for it.
  if (retried.at(-1)?.status === 402) return 'FAILED';
  // It may have been over before somebody came to cancel it, and then the answer says so.
  if (order.ending === 'is cancelled' && cancelled?.state === 'CANCELLED') return 'CANCELLED';
  return 'SUCCEEDED';
}

/** Every step that succeeded has made something, and the store has it. */
function checkFiles({ order, id, steps }: StoredHistory, objects: Evidence['objects']): string[] {
  const done = steps.filter(({ state }) => state === 'SUCCEEDED');
  return done.flatMap((step) => {
    if (step.files.length === 0) return [`${order} (${id}): step ${step.id} succeeded, and made nothing`];
    const bad = step.files.filter(({ uri, sizeBytes }) => objects.get(uri) !== sizeBytes);
    return bad.map(
      ({ uri, sizeBytes }) =>
        `${order} (${id}): ${uri} of step ${step.id} has ${objects.get(uri) ?? 'no'} bytes in the store, not ${sizeBytes}`,
    );
  });
}
