import { acceptedBy, type Evidence, type Finding } from './evidence.ts';
import { type Attempt, byOrder, isFresh, isSettled } from './history.ts';
import type { StoredWorkflow } from './snapshot.ts';

/** What a gateway says that cannot ask the orchestrator, or gets no answer from it. */
const FAILURES = [503, 504];

/**
 * What is wrong with single orders: each has at most one workflow, its owner's and by a body that was sent; every 201 is
 * of that workflow, and of the contract's promises, word for word the same, and new at most once; every refusal has a cause.
 */
export function checkOrders(evidence: Evidence): Finding[] {
  const orders = byOrder(evidence.history);
  const stored = Map.groupBy(evidence.snapshot.workflows, ({ order }) => order ?? '');
  const strangers = [...stored]
    .filter(([order]) => !orders.has(order))
    .map(([order]) => ({ fault: `nobody asked for the workflow that is labelled ${JSON.stringify(order)}`, order }));
  const checked = [...orders].flatMap(([order, attempts]) => {
    const workflows = stored.get(order) ?? [];
    const faults = [
      ...checkWorkflows(workflows, attempts, evidence),
      ...checkAnswers(workflows[0], attempts, evidence),
      ...(evidence.promise === 'exact' ? checkReplays(workflows[0], attempts) : []),
    ];
    return faults.map((fault) => ({ fault, order }));
  });
  return [...strangers, ...checked];
}

function checkWorkflows(workflows: readonly StoredWorkflow[], attempts: readonly Attempt[], evidence: Evidence) {
  const faults: string[] = [];
  if (workflows.length > 1) faults.push(`has ${workflows.length} workflows`);
  const principal = evidence.callers[attempts[0]!.caller]!.principal ?? null;
  for (const { id, owner, body } of workflows) {
    if (owner !== principal) faults.push(`is ${principal}'s, but ${id} belongs to ${owner}`);
    const sent = attempts.filter((attempt) => attempt.body.name === body);
    if (!sent.some(({ body: { flaw } }) => !flaw))
      faults.push(`has ${id} of a body ${body}, which was not sent or is bad`);
    else if (acceptedBy(attempts, body!, evidence.promise).length === 0) {
      faults.push(`has ${id}, though each of its attempts was refused`);
    }
  }
  return faults;
}

function checkAnswers(workflow: StoredWorkflow | undefined, attempts: readonly Attempt[], evidence: Evidence) {
  return attempts.flatMap((attempt) => {
    const { number, answer } = attempt;
    if (!answer) return [];
    const fault = checkAnswer(attempt, workflow, attempts, evidence);
    return fault ? [`#${number} was answered with ${answer.status}, but ${fault}`] : [];
  });
}

/** Why an answer cannot be right. */
function checkAnswer(
  attempt: Attempt,
  workflow: StoredWorkflow | undefined,
  others: readonly Attempt[],
  { callers, promise, revocation }: Evidence,
): string | undefined {
  const { answer, body, caller, idempotencyKey } = attempt;
  const { status, workflowId } = answer!;
  if (status >= 500) return FAILURES.includes(status) ? undefined : 'nobody should be answered so';
  const isRevoked = revocation?.caller === caller;
  if (status === 401) return isRevoked && revocation.begunMs < attempt.endedMs ? undefined : 'its key is good';
  if (status === 400) return body.flaw ? undefined : 'its body is good';
  // In the base contract quota is counted before the orchestrator has seen the body.
  const isCountedFirst = promise === 'base' && status === 429;
  if (body.flaw && !(isCountedFirst && body.flaw === 'cycle')) return `its body has a flaw (${body.flaw})`;
  const isKnown = others.some(({ answer: known, endedMs }) => known?.status === 201 && endedMs < attempt.sentMs);
  switch (status) {
    case 201:
      if (!workflow) return `there is no workflow ${workflowId}`;
      if (workflow.id !== workflowId) return `the workflow is ${workflow.id}`;
      if (isRevoked && revocation.doneMs < attempt.sentMs && isFresh(attempt)) return 'its key was revoked before';
      // The base contract does not compare.
      return workflow.body === body.name || promise === 'base' ? undefined : `the workflow is of ${workflow.body}`;
    case 402:
      if (callers[caller]!.principal === undefined) return 'the static token has no account';
      return isKnown ? 'it was accepted before' : undefined;
    case 409:
      if (idempotencyKey === undefined) return 'it has no idempotency key';
      return others.some((other) => mayBeUnderWay(other, attempt)) ? undefined : 'no other was under way';
    case 422:
      if (idempotencyKey === undefined) return 'it has no idempotency key';
      if (!workflow) return 'nothing was accepted under its idempotency key';
      return workflow.body === body.name ? 'its body is the one that was accepted' : undefined;
    case 429:
      if (callers[caller]!.limit === 0) return 'its key has no limit';
      return isKnown && !isCountedFirst ? 'it was accepted before' : undefined;
    default:
      return 'nobody should be answered so';
  }
}

function mayBeUnderWay(other: Attempt, attempt: Attempt): boolean {
  if (other === attempt || other.sentMs > attempt.endedMs) return false;
  return other.endedMs > attempt.sentMs || !isSettled(other);
}

/** What holds beyond the base contract of the answers of one order. */
function checkReplays(workflow: StoredWorkflow | undefined, attempts: readonly Attempt[]): string[] {
  const created = attempts.filter(({ answer }) => answer?.status === 201);
  const faults: string[] = [];
  const texts = new Set(created.map(({ answer }) => answer!.text));
  if (texts.size > 1) faults.push(`has ${texts.size} different answers:\n${[...texts].join('\n')}`);
  const fresh = created.filter(isFresh);
  if (fresh.length > 1)
    faults.push(`${fresh.map(({ number }) => `#${number}`).join(' and ')} each say to be the first`);
  if (!workflow?.body) return faults;
  const accepting = acceptedBy(attempts, workflow.body, 'exact');
  for (const attempt of created.filter((candidate) => !isFresh(candidate))) {
    if (attempt.idempotencyKey === undefined) faults.push(`#${attempt.number} is a replay without an idempotency key`);
    else if (!accepting.some((other) => other !== attempt && other.sentMs < attempt.endedMs)) {
      faults.push(`#${attempt.number} is a replay, but there is none that it could repeat`);
    }
  }
  return faults;
}
