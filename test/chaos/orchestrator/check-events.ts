import { checkHistory } from '../history.ts';
import type { Evidence, StoredHistory } from './evidence.ts';
import { replay } from './replay.ts';
import type { PlannedStep } from './shapes.ts';
import type { Story } from './story.ts';

/** So many faults of one workflow are told; the rest is counted. */
const TOLD = 5;

/** What is wrong with the events of each workflow, as they are stored and as its watcher saw them. */
export function checkEvents({ histories, stories }: Pick<Evidence, 'histories' | 'stories'>): string[] {
  const byOrder = new Map(stories.map((story) => [story.order.name, story]));
  return histories.flatMap((history) => {
    const story = byOrder.get(history.order);
    if (!story) return [`nobody asked for the workflow ${history.id}, which is labelled ${history.order}`];
    const faults = [...checkStored(history, story.order.steps), ...checkSeen(history, story)];
    const untold = faults.length > TOLD ? [`and ${faults.length - TOLD} more`] : [];
    return [...faults.slice(0, TOLD), ...untold].map((fault) => `${history.order} (${history.id}): ${fault}`);
  });
}

function checkStored({ events, steps, state, lastEventId }: StoredHistory, planned: readonly PlannedStep[]): string[] {
  const told = replay(events, planned);
  const faults = [...told.faults];
  if (events.at(-1)?.id !== lastEventId) {
    faults.push(`the last event is ${events.at(-1)?.id}, but ${lastEventId} were counted`);
  }
  if (told.state !== state) faults.push(`is ${state}, but its events say ${told.state}`);
  if (events.at(-1)?.step !== undefined) faults.push('the last event is that of a step');
  for (const step of steps) {
    const said = told.steps.get(step.id);
    if (said !== step.state) faults.push(`step ${step.id} is ${step.state}, but the events say ${said}`);
  }
  if (steps.length !== planned.length) faults.push(`has ${steps.length} steps instead of ${planned.length}`);
  return faults;
}

/** A watcher has to see every event once, in order, and as it is stored. */
function checkSeen(
  { events, lastEventId, state }: StoredHistory,
  { seen, ends, oddities, submitted }: Story,
): string[] {
  // Whoever was never told of the workflow could not watch it; that is said elsewhere.
  if (submitted?.status !== 201) return [];
  const ids = checkHistory(
    seen.map(({ id }) => id),
    lastEventId,
  );
  const others = seen.filter(({ id, step, state: told }) => {
    const stored = events[id - 1];
    return stored && (stored.step !== step || stored.state !== told);
  });
  const end = ends.at(-1);
  return [
    ...ids.map((fault) => `its watcher: ${fault}`),
    ...others.map(({ id, step, state: told }) => `its watcher saw ${step ?? 'the workflow'} ${told} as event ${id}`),
    ...(end === undefined || end === state ? [] : [`its watcher was told that it ended as ${end}, not ${state}`]),
    ...oddities,
  ];
}
