import { setTimeout as sleep } from 'node:timers/promises';
import type { Seeded } from '../seeded.ts';
import type { Order } from './plan.ts';

/** A gateway answers within its own deadline, so that this is only waited for by somebody whom nobody will answer. */
const ANSWER_MS = 12_000;
/** The longest pause before the second attempt, which doubles with each one after it. */
const PAUSE_MS = 100;
const MAX_PAUSE_MS = 1_000;

/** What a client was answered in the end, and what it had to go through before. */
export interface Answer {
  readonly status: number;
  /** The word of an error. */
  readonly code: string | undefined;
  /** Of the workflow that is told of. */
  readonly id: string | undefined;
  readonly state: string | undefined;
  /** The statuses before this one; 0 for none. */
  readonly before: readonly number[];
}

export type Client = ReturnType<typeof createClient>;

interface ClientParts {
  /** The URL of each gateway. */
  readonly gateways: readonly string[];
  readonly token: string;
  readonly seeded: Seeded;
  /** Rejects with its reason what is under way when it aborts. */
  readonly stop: AbortSignal;
}

/** A client that asks again, at the next gateway, for as long as it gets no answer, a 5xx or a 409. */
export function createClient({ gateways, token, seeded, stop }: ClientParts) {
  let gateway = seeded.whole(0, gateways.length - 1);

  async function call(method: string, path: string, init: RequestInit = {}): Promise<Answer> {
    const before: number[] = [];
    for (let tries = 1; ; tries++) {
      const answer = await attempt(method, path, init);
      if (answer && answer.status < 500 && answer.status !== 409) return { ...answer, before };
      before.push(answer?.status ?? 0);
      gateway = (gateway + 1) % gateways.length;
      const pauseMs = seeded.whole(10, Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** (tries - 1)));
      await sleep(pauseMs, undefined, { signal: stop });
    }
  }

  /** Undefined when there was no answer. */
  async function attempt(method: string, path: string, init: RequestInit): Promise<Omit<Answer, 'before'> | undefined> {
    try {
      const response = await fetch(`${gateways[gateway]}/v1/workflows${path}`, {
        ...init,
        method,
        headers: { ...init.headers, Authorization: `Bearer ${token}` },
        signal: AbortSignal.any([AbortSignal.timeout(ANSWER_MS), stop]),
      });
      const json = (await response.json()) as { code?: string; id?: string; state?: string };
      return { status: response.status, code: json.code, id: json.id, state: json.state };
    } catch {
      stop.throwIfAborted();
      return undefined;
    }
  }

  return {
    submit(order: Order): Promise<Answer> {
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': order.name };
      return call('POST', '', { headers, body: JSON.stringify(specOf(order)) });
    },
    cancel: (id: string) => call('DELETE', `/${id}`),
    retry: (id: string) => call('POST', `/${id}/retry`),
  };
}

function specOf({ name, steps }: Order) {
  const specs = steps.map(({ id, tool, dependsOn, params }) => ({ id, tool, depends_on: dependsOn, params }));
  return { name: 'chaos', labels: { order: name }, steps: specs };
}
