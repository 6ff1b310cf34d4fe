import { type Attempt, byOrder, type History, isFresh, isSettled } from './history.ts';
import type { Caller } from './plan.ts';
import type { Snapshot, StoredWorkflow } from './snapshot.ts';

/**
 * What the orchestrator promises. `exact`: with AcceptWorkflow, what is charged is what was accepted. `base`: it is at least
 * what was accepted, because quota is counted in a call of its own before the submission.
 */
export type Promised = 'exact' | 'base';

/** All that is known of a run. */
export interface Evidence {
  readonly promise: Promised;
  readonly callers: readonly Caller[];
  /** SHA-256 by caller, in lower-case hex. */
  readonly keyHashes: readonly string[];
  /** Credits by principal. */
  readonly credits: Readonly<Record<string, number>>;
  readonly history: History;
  readonly snapshot: Snapshot;
  /** The key of one caller, when it began to be revoked and when it was. Undefined: none was. */
  readonly revocation: { readonly caller: number; readonly begunMs: number; readonly doneMs: number } | undefined;
}

/** Something that must not be, and the order or the caller that shows it. */
export interface Finding {
  readonly fault: string;
  readonly order?: string;
  readonly caller?: number;
}

/**
 * The attempts of one order of which one has had it accepted with the body `name`: the one that says so, if there is, else
 * those whose clients cannot know. None of these was sent after the first answer that shows the workflow.
 */
export function acceptedBy(attempts: readonly Attempt[], name: string, promise: Promised): readonly Attempt[] {
  const same = attempts.filter(({ body }) => body.name === name && !body.flaw);
  const fresh = same.filter(isFresh);
  if (promise === 'exact' && fresh.length > 0) return fresh;
  const shown = attempts.filter(({ answer }) => answer?.status === 201).map(({ endedMs }) => endedMs);
  const shownMs = Math.min(Number.POSITIVE_INFINITY, ...shown);
  // In the base contract each 201 may be of the call that had it accepted.
  const possible = same.filter(
    (attempt) => !isSettled(attempt) || (promise === 'base' && attempt.answer?.status === 201),
  );
  return possible.filter(({ sentMs }) => sentMs < shownMs);
}

/** For each workflow the callers through whom it may have been accepted; one of them did. */
export function listAcceptances({ history, snapshot, promise }: Evidence) {
  const orders = byOrder(history);
  return snapshot.workflows.map((workflow: StoredWorkflow) => {
    const attempts = orders.get(workflow.order ?? '') ?? [];
    const callers = new Set(acceptedBy(attempts, workflow.body ?? '', promise).map(({ caller }) => caller));
    return { workflow, callers };
  });
}
