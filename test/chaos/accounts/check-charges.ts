import { type Evidence, type Finding, listAcceptances } from './evidence.ts';
import { PRICE } from './plan.ts';
import type { Snapshot, StoredEntry, StoredWorkflow } from './snapshot.ts';

/**
 * What is wrong with what was charged. It holds at every moment, so also of a snapshot from the middle of a run, provided
 * that the history was read after it.
 */
export function checkCharges(evidence: Evidence): Finding[] {
  return [...checkQuotas(evidence), ...checkCredits(evidence)];
}

/** `exact`: each key with a limit has used as much as was accepted through it. `base`: at least as much. */
function checkQuotas(evidence: Evidence): Finding[] {
  const { callers, promise, history } = evidence;
  const acceptances = listAcceptances(evidence);
  const limited = callers.flatMap(({ limit }, caller) => (limit > 0 ? [caller] : []));
  const used = (caller: number) => usedBy(caller, evidence);

  const own = limited.flatMap((caller) => {
    const { name, limit } = callers[caller]!;
    const possible = acceptances.filter((acceptance) => acceptance.callers.has(caller));
    const certain = possible.filter((acceptance) => acceptance.callers.size === 1);
    const accepted = certain.length === possible.length ? certain.length : `${certain.length} to ${possible.length}`;
    const most = promise === 'exact' ? possible.length : history.filter((attempt) => attempt.caller === caller).length;
    const faults: string[] = [];
    if (used(caller) < certain.length || used(caller) > most) {
      faults.push(`${name}: ${used(caller)} submissions were counted, and ${accepted} workflows accepted`);
    }
    if (used(caller) > limit) faults.push(`${name}: ${used(caller)} submissions were counted of ${limit}`);
    return faults.map((fault) => ({ fault, caller }));
  });

  // Where it is not certain through which of its keys, a principal's keys still have to be right together.
  const principals = new Set(limited.map((caller) => callers[caller]!.principal));
  const together = [...principals].flatMap((principal) => {
    const keys = limited.filter((caller) => callers[caller]!.principal === principal);
    const all = acceptances.filter((acceptance) => keys.some((key) => acceptance.callers.has(key)));
    const certain = all.filter((acceptance) => [...acceptance.callers].every((caller) => keys.includes(caller)));
    const sum = keys.reduce((total, key) => total + used(key), 0);
    if (sum >= certain.length && (sum <= all.length || promise === 'base')) return [];
    const fault = `${principal}: ${sum} submissions were counted for all keys with a limit, and ${certain.length} to ${all.length} workflows accepted`;
    return [{ fault, caller: keys[0]! }];
  });
  return [...own, ...together];
}

export function usedBy(caller: number, { snapshot, keyHashes }: Pick<Evidence, 'snapshot' | 'keyHashes'>): number {
  return snapshot.keys.find(({ hash }) => hash === keyHashes[caller])?.used ?? 0;
}

/** The ledger sums to the balance, and has what was granted, one debit of each workflow, and its refund if it has one. */
function checkCredits({ credits, snapshot, callers }: Evidence): Finding[] {
  const orders = new Map(snapshot.workflows.map(({ id, order }) => [id, order ?? '']));
  const sums = Object.entries(credits).flatMap(([principal, granted]) => {
    const caller = callers.findIndex((candidate) => candidate.principal === principal);
    return checkSums(principal, granted, snapshot).map((fault) => ({ fault: `${principal}: ${fault}`, caller }));
  });
  const entries = new Map(Object.entries(Object.groupBy(snapshot.ledger, ({ reason }) => reason)));
  const single = snapshot.workflows.flatMap((workflow) =>
    checkEntries(workflow, entries).map((fault) => ({ fault, order: workflow.order ?? '' })),
  );
  const strays = snapshot.ledger
    .filter(({ reason }) => reason !== 'grant:admin' && !orders.has(reason.split(':wf:')[1] ?? ''))
    .map(({ principal, delta, reason }) => ({ fault: `${principal}: ${delta} for ${reason}, which does not exist` }));
  return [...sums, ...single, ...strays];
}

function checkSums(principal: string, granted: number, { ledger, balances }: Snapshot): string[] {
  const faults: string[] = [];
  let sum = 0;
  let grants = 0;
  for (const { delta, reason, balanceAfter } of ledger.filter((entry) => entry.principal === principal)) {
    sum += delta;
    if (reason === 'grant:admin') grants += delta;
    if (balanceAfter !== sum) faults.push(`after ${delta} for ${reason} the balance was ${balanceAfter}, not ${sum}`);
    if (sum < 0) faults.push(`${delta} for ${reason} overdrew the account`);
  }
  if (grants !== granted) faults.push(`${grants} credits were granted, not ${granted}`);
  if (balances.get(principal) !== sum)
    faults.push(`has ${balances.get(principal)} credits, but the ledger says ${sum}`);
  return faults;
}

function checkEntries(
  workflow: StoredWorkflow,
  entries: ReadonlyMap<string, readonly StoredEntry[] | undefined>,
): string[] {
  const { id, owner, steps, state, succeeded } = workflow;
  const price = owner === null ? 0 : PRICE * steps;
  const isRefunded = state === 'FAILED' && succeeded === 0;
  return [
    { reason: `debit:wf:${id}`, due: price > 0 ? [-price] : [] },
    { reason: `refund:wf:${id}`, due: price > 0 && isRefunded ? [price] : [] },
  ].flatMap(({ reason, due }) => {
    const posted = entries.get(reason) ?? [];
    const right = posted.every(({ principal }) => principal === owner);
    if (right && String(posted.map(({ delta }) => delta)) === String(due)) return [];
    const found = posted.map(({ principal, delta }) => `${delta} of ${principal}`).join(', ') || 'nothing';
    const wanted = due.length > 0 ? `${due[0]} of ${owner}` : 'nothing';
    return [`${reason} is ${found}, but should be ${wanted} (${state}, ${succeeded} of ${steps} steps succeeded)`];
  });
}
