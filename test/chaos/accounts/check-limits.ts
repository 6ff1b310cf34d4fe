import { usedBy } from './check-charges.ts';
import { type Evidence, type Finding, listAcceptances } from './evidence.ts';
import { type Attempt, isFresh } from './history.ts';
import { PRICE, WINDOW_SECONDS } from './plan.ts';

/**
 * What is wrong with what clients were told of their quota and credits, now that nothing changes any more: the count only
 * rises within a window, so it is at least what was known to be accepted when the call was made, and at most the last one.
 */
export function checkLimits(evidence: Evidence): Finding[] {
  const { callers, history } = evidence;
  const limited = callers.flatMap(({ limit }, caller) => (limit > 0 ? [caller] : []));
  return [
    ...limited.flatMap((caller) => checkQuotaAnswers(caller, evidence)),
    ...checkCreditAnswers(evidence, history),
  ];
}

function checkQuotaAnswers(caller: number, evidence: Evidence): Finding[] {
  const { history, callers, promise } = evidence;
  const { limit } = callers[caller]!;
  const total = usedBy(caller, evidence);
  const told = history.filter(({ answer, ...attempt }) => attempt.caller === caller && isTold(answer?.status));
  const counted = listCounted(caller, evidence);
  const findings = told.flatMap((attempt) => {
    const fault = checkQuotaAnswer(attempt, { limit, total, knownUsed: countBefore(attempt) });
    return fault ? [{ fault: `#${attempt.number}: ${fault}`, order: attempt.order, caller }] : [];
  });
  // Each of these was counted by itself, one after the other.
  const own = told.filter((attempt) => isFresh(attempt));
  const twice = own.filter((attempt, index) => {
    const used = attempt.answer!.rateLimit?.used;
    return own.findIndex((other) => other.answer!.rateLimit?.used === used) < index;
  });
  return [
    ...findings,
    ...twice.map(({ number, order, answer }) => {
      const fault = `#${number}: another was accepted as number ${answer!.rateLimit?.used} of the window, too`;
      return { fault, order, caller };
    }),
  ];

  /** What must have been counted by the time that `attempt` was answered. */
  function countBefore(attempt: Attempt): number {
    const before = counted.filter(({ endedMs }) => endedMs < attempt.sentMs).length;
    return before + (promise === 'base' ? Number(attempt.answer?.status === 201) : Number(isFresh(attempt)));
  }
}

/** The first answer for each submission that was counted for certain. */
function listCounted(caller: number, evidence: Evidence): Attempt[] {
  const answered = evidence.history.filter(({ answer }) => answer?.status === 201);
  if (evidence.promise === 'base') return answered.filter((attempt) => attempt.caller === caller);
  const certain = listAcceptances(evidence).filter(({ callers }) => callers.size === 1 && callers.has(caller));
  const ids = new Set(certain.map(({ workflow }) => workflow.id));
  const first = new Map<string, Attempt>();
  for (const attempt of answered.toSorted((one, other) => one.endedMs - other.endedMs)) {
    const id = attempt.answer!.workflowId!;
    if (ids.has(id) && !first.has(id)) first.set(id, attempt);
  }
  return [...first.values()];
}

function isTold(status: number | undefined): boolean {
  return status === 201 || status === 429;
}

function checkQuotaAnswer(
  { answer }: Attempt,
  { limit, total, knownUsed }: { limit: number; total: number; knownUsed: number },
): string | undefined {
  const { status, rateLimit, retryAfter } = answer!;
  if (!rateLimit) return `the ${status} does not say what is left`;
  const { used, seconds } = rateLimit;
  if (rateLimit.limit !== limit) return `says that the limit is ${rateLimit.limit}, not ${limit}`;
  if (used < knownUsed) return `says that ${used} are used, but ${knownUsed} are for certain`;
  if (used > total) return `says that ${used} are used, but in the end ${total} are`;
  // No window is open before the first submission, which a replay through another key is not.
  if (!(used === 0 && seconds === undefined) && !isInWindow(seconds))
    return `says that the window ends in ${seconds} s`;
  if (status !== 429) return undefined;
  if (total !== limit || used !== limit) return `was refused at ${used}, and in the end ${total} of ${limit} are used`;
  return isInWindow(retryAfter) ? undefined : `says to come back in ${retryAfter} s`;
}

function isInWindow(seconds: number | undefined): boolean {
  return seconds !== undefined && seconds > 0 && seconds <= WINDOW_SECONDS;
}

/** 402 is right only for a body that would not have been paid for if all debits had come before every refund. */
function checkCreditAnswers({ callers, credits, snapshot }: Evidence, history: readonly Attempt[]): Finding[] {
  return history.flatMap(({ number, order, caller, body, answer }) => {
    const { principal } = callers[caller]!;
    if (answer?.status !== 402 || principal === undefined) return [];
    const debits = snapshot.ledger.filter((entry) => entry.principal === principal && entry.delta < 0);
    const least = debits.reduce((balance, { delta }) => balance + delta, credits[principal] ?? 0);
    const price = body.steps * PRICE;
    if (least < price) return [];
    return [
      { fault: `#${number}: was refused for want of ${price} credits, but ${least} were left at all times`, order },
    ];
  });
}
