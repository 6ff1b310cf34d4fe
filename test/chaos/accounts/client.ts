import { setTimeout as sleep } from 'node:timers/promises';
import { createSeeded, type Seeded } from '../seeded.ts';
import { writeBody } from './body.ts';
import { type Answer, type Attempt, isSettled, type RateLimit } from './history.ts';
import type { Caller, Operation } from './plan.ts';

/** A gateway answers within its own deadline, so that this is only waited for by somebody whom nobody will answer. */
const ANSWER_MS = 8_000;
/** The longest pause before the second attempt, which doubles with each one after it. */
const PAUSE_MS = 100;
const MAX_PAUSE_MS = 1_000;

export interface ClientsParts {
  readonly callers: readonly Caller[];
  /** By caller. */
  readonly tokens: readonly string[];
  /** The URL of each gateway, which changes when it is started again. */
  readonly gateways: () => readonly string[];
  /** Clients that go on until they are answered end when it aborts. */
  readonly stop: AbortSignal;
}

export type Clients = ReturnType<typeof createClients>;

/** Clients that do what the plan says, and write down what they did and saw. */
export function createClients({ callers, tokens, gateways, stop }: ClientsParts) {
  const history: Attempt[] = [];
  const unanswered: string[] = [];

  async function post(attempt: Attempt, spelling: number, patienceMs: number) {
    const { idempotencyKey, caller, body, order, gateway } = attempt;
    try {
      const response = await fetch(`${gateways()[gateway]}/v1/workflows`, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${tokens[caller]}`,
          'Content-Type': 'application/json',
          ...(idempotencyKey !== undefined && { 'Idempotency-Key': writeKey(idempotencyKey, spelling) }),
        },
        body: writeBody(body, order, spelling),
        signal: AbortSignal.timeout(patienceMs),
      });
      return { response, text: await response.text() };
    } catch (error) {
      return { lost: wordFor(error as Error) };
    }
  }

  async function send(attempt: Attempt, spelling: number, patienceMs: number): Promise<void> {
    const { response, text, lost } = await post(attempt, spelling, patienceMs);
    attempt.endedMs = performance.now();
    attempt.lost = lost;
    if (response) attempt.answer = readAnswer(response, text);
  }

  function begin(operation: Operation, order: string, caller: number, gateway: number): Attempt {
    const { idempotencyKey, body } = operation;
    const outcome = { endedMs: Number.POSITIVE_INFINITY, answer: undefined, lost: undefined };
    const what = { number: history.length, order, idempotencyKey, caller, body, gateway };
    const attempt: Attempt = { ...what, ...outcome, sentMs: performance.now() };
    history.push(attempt);
    return attempt;
  }

  /** One client's part of an operation. */
  async function pursue(operation: Operation, name: string, seeded: Seeded): Promise<void> {
    const scope = callers[operation.caller]!.principal ?? 'token';
    const order = operation.idempotencyKey === undefined ? undefined : `${scope}/${operation.idempotencyKey}`;
    let { caller, patienceMs } = operation;
    for (let tries = 1; ; tries++) {
      const attempt = begin(operation, order ?? `${name}.${tries}`, caller, seeded.whole(0, gateways().length - 1));
      await send(attempt, seeded.whole(0, 2), patienceMs);
      if (operation.retries === 'never') return;
      patienceMs = ANSWER_MS;
      const { answer } = attempt;
      // Who has lost a key goes on with the next one.
      if (answer?.code === 'KEY_REVOKED') caller = nextKey(callers, caller);
      else if (isSettled(attempt) && answer?.status !== 409) return;
      if (stop.aborted) {
        unanswered.push(attempt.order);
        return;
      }
      const pauseMs = seeded.whole(10, Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** (tries - 1)));
      await sleep(pauseMs, undefined, { signal: stop }).catch(() => {});
    }
  }

  return {
    history,
    /** The orders of clients that went on until they were stopped. */
    unanswered,
    /** Ends when all clients of the operation have ended. */
    async run(operation: Operation, name: string): Promise<void> {
      const copies = Array.from({ length: operation.copies }, (_, index) =>
        pursue(operation, `${name}.${index}`, createSeeded(operation.seed + index)),
      );
      await Promise.all(copies);
    },
  };
}

/** Bare, or as the quoted string of a structured field, which is the same key. */
function writeKey(key: string, spelling: number): string {
  return spelling === 1 ? `"${key.replace(/["\\]/g, '\\$&')}"` : key;
}

function nextKey(callers: readonly Caller[], caller: number): number {
  const { principal } = callers[caller]!;
  const own = callers.flatMap((other, index) => (other.principal === principal ? [index] : []));
  return own[(own.indexOf(caller) + 1) % own.length]!;
}

function readAnswer({ status, headers }: Response, text: string): Answer {
  const json = JSON.parse(text) as { readonly id?: string; readonly code?: string };
  const retryAfter = headers.get('retry-after');
  return {
    status,
    code: status >= 400 ? json.code : undefined,
    replayed: headers.get('idempotent-replayed') === 'true',
    workflowId: status === 201 ? json.id : undefined,
    text,
    rateLimit: readRateLimit(headers.get('ratelimit'), headers.get('ratelimit-policy')),
    retryAfter: retryAfter === null ? undefined : Number(retryAfter),
  };
}

/** The two headers of draft-ietf-httpapi-ratelimit-headers as the gateway writes them; undefined when one is missing. */
export function readRateLimit(rateLimit: string | null, policy: string | null): RateLimit | undefined {
  const left = /^"submissions";r=(\d+)(?:;t=(\d+))?$/.exec(rateLimit ?? '');
  const quota = /^"submissions";q=(\d+)(?:;w=\d+)?$/.exec(policy ?? '');
  if (!left || !quota) return undefined;
  const limit = Number(quota[1]);
  return { limit, used: limit - Number(left[1]), seconds: left[2] === undefined ? undefined : Number(left[2]) };
}

function wordFor({ name, message, cause }: Error): string {
  if (name === 'TimeoutError') return 'went away';
  const { code } = (cause ?? {}) as { code?: string };
  return `lost: ${code ?? message}`;
}
