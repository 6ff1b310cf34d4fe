import type { StoredEvent } from './evidence.ts';
import type { PlannedStep } from './shapes.ts';

/** What a step may become. A step that succeeded, or was cancelled, stays so. */
const NEXT: Readonly<Record<string, readonly string[]>> = {
  QUEUED: ['RUNNING', 'FAILED', 'CANCELLED'],
  RUNNING: ['RUNNING', 'QUEUED', 'SUCCEEDED', 'FAILED', 'CANCELLED'],
  FAILED: ['QUEUED'],
  SUCCEEDED: [],
  CANCELLED: [],
};
const TERMINAL = ['SUCCEEDED', 'FAILED', 'CANCELLED'];

export interface Replay {
  readonly faults: readonly string[];
  readonly state: string;
  /** By step id. */
  readonly steps: ReadonlyMap<string, string>;
  /** What the workflow's owner is to be charged and given back, in that order. */
  readonly postings: readonly ('debit' | 'refund')[];
}

/** Tells a workflow's events one after the other, and what is wrong with them. */
export function replay(events: readonly StoredEvent[], planned: readonly PlannedStep[]): Replay {
  const steps = new Map(planned.map(({ id }) => [id, 'QUEUED']));
  const fractions = new Map<string, number>();
  const postings: ('debit' | 'refund')[] = ['debit'];
  const faults: string[] = [];
  let state = 'NONE';

  const isAnyDone = () => [...steps.values()].includes('SUCCEEDED');
  const tell = (event: StoredEvent, fault: string) => faults.push(`event ${event.id}: ${fault}`);

  function moveStep(event: StoredEvent, id: string): void {
    const before = steps.get(id);
    if (before === undefined) return void tell(event, `there is no step ${id}`);
    const { state: after, fraction } = event;
    if (!NEXT[before]?.includes(after)) tell(event, `step ${id} went from ${before} to ${after}`);
    if (TERMINAL.includes(state)) tell(event, `step ${id} moved after the workflow was ${state}`);
    if (after === 'RUNNING') {
      const missing = planned.find((step) => step.id === id)!.dependsOn.filter((d) => steps.get(d) !== 'SUCCEEDED');
      if (missing.length > 0) tell(event, `step ${id} ran before ${missing.join(', ')} had succeeded`);
      if (fraction < (fractions.get(id) ?? 0)) tell(event, `step ${id} went back to ${fraction}`);
      fractions.set(id, fraction);
    }
    if (after === 'QUEUED') fractions.delete(id);
    steps.set(id, after);
  }

  function moveWorkflow(event: StoredEvent): void {
    const { state: after } = event;
    if (state === 'NONE' && after !== 'QUEUED') tell(event, `the workflow began as ${after}`);
    const isReopened = state === 'FAILED' && after === 'QUEUED';
    if (TERMINAL.includes(state) && !isReopened) tell(event, `the workflow went from ${state} to ${after}`);
    for (const [id, told] of event.steps) {
      if (steps.get(id) === 'SUCCEEDED' && told !== 'SUCCEEDED')
        tell(event, `step ${id}, which had succeeded, is ${told}`);
    }
    if (after === 'SUCCEEDED' && [...steps.values()].some((step) => step !== 'SUCCEEDED')) {
      tell(event, 'the workflow succeeded before all of its steps had');
    }
    if (after === 'FAILED' && !isAnyDone()) postings.push('refund');
    if (isReopened && postings.at(-1) === 'refund') postings.push('debit');
    state = after;
  }

  for (const [index, event] of events.entries()) {
    if (event.id !== index + 1) tell(event, `is at place ${index + 1}`);
    if (event.step === undefined) moveWorkflow(event);
    else moveStep(event, event.step);
  }
  return { faults, state, steps, postings };
}
