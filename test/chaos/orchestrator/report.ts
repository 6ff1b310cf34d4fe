import { countTaken, longestPickupMs } from './check-handovers.ts';
import type { Evidence } from './evidence.ts';
import type { FaultKind } from './faults.ts';

type Counts = Readonly<Record<string, number>>;

/** What became of the orders. */
function countOutcomes({ stories, histories }: Evidence): Counts {
  const states = ['SUCCEEDED', 'FAILED', 'CANCELLED'];
  const refusals = { 'refused for want of quota': 429, 'refused for want of credits': 402 };
  return {
    ...Object.fromEntries(
      states.map((state) => [state, histories.filter((history) => history.state === state).length]),
    ),
    'retried after a failure': stories.filter(({ retried }) => retried.length > 0).length,
    ...Object.fromEntries(
      Object.entries(refusals).map(([name, status]) => [
        name,
        stories.filter(({ submitted }) => submitted?.status === status).length,
      ]),
    ),
    'submitted more than once': stories.filter(({ submitted }) => (submitted?.before.length ?? 0) > 0).length,
  };
}

/** A run in words: faults, outcomes, events, the longest pickup. */
export function countAll(evidence: Evidence, faults: Readonly<Record<FaultKind, number>>): string[] {
  const { histories, stories, handovers, endings } = evidence;
  const stored = histories.reduce((sum, { events }) => sum + events.length, 0);
  const seen = stories.reduce((sum, story) => sum + story.seen.length, 0);
  const connections = stories.reduce((sum, story) => sum + story.connections, 0);
  const longestMs = longestPickupMs(evidence);
  const longest =
    longestMs === undefined ? 'none was waited for' : `the longest wait ${(longestMs / 1_000).toFixed(1)} s`;
  return [
    `faults: ${words(faults)}; programs that ended for want of a database: ${endings.length}`,
    `workflows: ${words(countOutcomes(evidence))}`,
    `events: ${stored} stored, ${seen} seen over ${connections} connections`,
    `steps taken over from dead, paused and parted orchestrators: ${countTaken(handovers)}, ${longest}`,
  ];
}

/** What a run must have shown, and has not. */
export function listMissing(evidence: Evidence, faults: Readonly<Record<FaultKind, number>>): string[] {
  const all = { ...faults, ...countOutcomes(evidence), 'a step was taken over': countTaken(evidence.handovers) };
  return Object.entries(all).flatMap(([name, count]) => (count === 0 ? [name] : []));
}

function words(counts: Counts): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
