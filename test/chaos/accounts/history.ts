import type { Body } from './body.ts';

/** What a client was answered. */
export interface Answer {
  readonly status: number;
  /** The word of an error. */
  readonly code: string | undefined;
  readonly replayed: boolean;
  /** The id in a 201. */
  readonly workflowId: string | undefined;
  /** The body as it came. */
  readonly text: string;
  readonly rateLimit: RateLimit | undefined;
  /** Whole seconds. */
  readonly retryAfter: number | undefined;
}

/** What the headers of an answer say of a quota. */
export interface RateLimit {
  readonly limit: number;
  readonly used: number;
  /** Until the window ends. Undefined: no window is open. */
  readonly seconds: number | undefined;
}

/** One request. */
export interface Attempt {
  /** In the order in which they were sent. */
  readonly number: number;
  /** What it is for: the same for all attempts of one principal under one idempotency key, and for no other. */
  readonly order: string;
  /** Undefined: none was sent. */
  readonly idempotencyKey: string | undefined;
  /** Index of a caller. */
  readonly caller: number;
  readonly body: Body;
  readonly gateway: number;
  /** Milliseconds; infinite until it has ended. */
  readonly sentMs: number;
  endedMs: number;
  answer: Answer | undefined;
  /** Why there is no answer. */
  lost: string | undefined;
}

/** Everything that clients did and saw, in the order of sending. */
export type History = readonly Attempt[];

/** Whether the answer says for certain what came of the attempt. It may else have been accepted, or still be. */
export function isSettled({ answer }: Attempt): boolean {
  return answer !== undefined && answer.status < 500;
}

/** Whether it was accepted by this very call, as far as its client knows. */
export function isFresh({ answer }: Attempt): boolean {
  return answer?.status === 201 && !answer.replayed;
}

export function byOrder(history: History): Map<string, Attempt[]> {
  return Map.groupBy(history, ({ order }) => order);
}

/** One line for a reader who looks for a fault. Times are seconds since `startMs`. */
export function describeAttempt(attempt: Attempt, callerNames: readonly string[], startMs: number): string {
  const { number, order, idempotencyKey, caller, body, gateway, sentMs, endedMs, answer, lost } = attempt;
  const time = (ms: number) => ((ms - startMs) / 1_000).toFixed(3);
  const { limit, used } = answer?.rateLimit ?? {};
  const outcome = answer
    ? [
        answer.status,
        answer.code,
        answer.replayed ? 'replayed' : undefined,
        answer.workflowId,
        used === undefined ? undefined : `used ${used} of ${limit}`,
      ]
    : [lost ?? 'is under way'];
  const key = idempotencyKey === undefined ? 'without a key' : `under ${idempotencyKey}`;
  return [
    `#${number} ${time(sentMs)}–${endedMs === Number.POSITIVE_INFINITY ? '' : time(endedMs)} s`,
    `${callerNames[caller]} through gateway ${gateway}: order ${order} ${key}, body ${body.name}`,
    `→ ${outcome.filter((word) => word !== undefined).join(' ')}`,
  ].join(' ');
}
