import { createSeeded, type Seeded } from '../seeded.ts';
import { type Body, planBody, planFlawedBody } from './body.ts';
import { type Fault, planFaults } from './faults.ts';

/** Credits per step. */
export const PRICE = 7;
/** Longer than any run, so that what is counted once stays counted. */
export const WINDOW_SECONDS = 3_600;

/** One credential. Several have the same principal; the static token has none, and with it neither quota nor credits. */
export interface Caller {
  readonly name: string;
  readonly principal: string | undefined;
  /** Submissions; 0 means unlimited. */
  readonly limit: number;
}

/** One thing that clients want. */
export interface Operation {
  /** Index of a caller. */
  readonly caller: number;
  /** Undefined: none is sent, and each attempt is a submission of its own. */
  readonly idempotencyKey: string | undefined;
  readonly body: Body;
  /** So many clients send it at the same moment. */
  readonly copies: number;
  /** `never`: the first answer is taken, or none. `until answered`: after no answer, a 5xx and a 409 it is sent again. */
  readonly retries: 'never' | 'until answered';
  /** How long the first attempt waits for its answer; the others wait for as long as it takes. */
  readonly patienceMs: number;
  /** For what the client makes up itself: gateways, delays, how it writes the body. */
  readonly seed: number;
}

export interface Plan {
  readonly callers: readonly Caller[];
  /** Credits by principal, given before the first operation. */
  readonly credits: Readonly<Record<string, number>>;
  readonly operations: readonly Operation[];
  /** Each with the number of operations that have begun before it, in that order. */
  readonly faults: readonly { readonly after: number; readonly fault: Fault }[];
}

type Manner = Pick<Operation, 'copies' | 'retries' | 'patienceMs' | 'seed'>;

const NAMES = ['alice/1', 'alice/2', 'alice/3', 'bob/1', 'bob/2', 'carol/1', 'carol/2', 'carol/3', 'token'];
/** Quota as a share of the orders that are placed with the key. Bob runs out of credits, alice has more than enough of both. */
const SHARES: Readonly<Record<string, number>> = {
  'alice/1': 3,
  'alice/2': 0.6,
  'bob/1': 0.8,
  'carol/1': 0.4,
  'carol/2': 2,
  'carol/3': 0.7,
};
/** Credits as a share of what the orders of the principal cost. */
const CREDIT_SHARES: Readonly<Record<string, number>> = { alice: 3, bob: 0.15, carol: 3 };
/** Is revoked half-way. Those who use it go on with the next key of the same principal. */
const REVOKED = 'carol/2';
/** Repetitions are of one of the latest orders, some of which are still under way. */
const REMEMBERED = 25;
const PATIENT_MS = 8_000;

/**
 * The plan of a run. The seed fixes it to the last byte: who asks for what in which order, what is repeated, what breaks
 * and when. It cannot fix how processes are scheduled: a seed repeats a pattern, not every interleaving.
 */
export function planAccounts({ seed, operations: count }: { seed: number; operations: number }): Plan {
  const seeded = createSeeded(seed);
  const operations: Operation[] = [];
  const orders: Operation[] = [];
  for (let index = 0; index < count; index++) {
    const { operation, isNew } = planOperation(orders, seeded);
    operations.push(operation);
    if (isNew) orders.push(operation);
  }
  const payable = orders.filter(({ body }) => !body.flaw);
  const callers = NAMES.map((name, index) => {
    const asked = payable.filter(({ caller }) => caller === index).length;
    return { name, principal: principalOf(index), limit: Math.ceil((SHARES[name] ?? 0) * asked) };
  });
  const credits = Object.entries(CREDIT_SHARES).map(([principal, share]) => {
    const asked = payable.filter(({ caller }) => principalOf(caller) === principal);
    const steps = asked.reduce((sum, { body }) => sum + body.steps, 0);
    return [principal, Math.ceil(share * steps * PRICE) + 1] as const;
  });
  const faults = planFaults(count, { revoked: NAMES.indexOf(REVOKED), callers }, seeded);
  return { callers, credits: Object.fromEntries(credits), operations, faults };
}

/** `orders` are those that were new. */
function planOperation(orders: readonly Operation[], seeded: Seeded): { operation: Operation; isNew: boolean } {
  const known = orders.filter(({ idempotencyKey }) => idempotencyKey !== undefined).slice(-REMEMBERED);
  const kind = seeded.fraction();
  const manner = planManner(seeded);
  if (known.length === 0 || kind < 0.5) return { operation: planOrder(orders, manner, seeded), isNew: true };
  const { caller: owner, idempotencyKey, body: first } = seeded.pick(known);
  // Sometimes with another key of the same principal, as after a rotation.
  const own = NAMES.flatMap((_, index) => (principalOf(index) === principalOf(owner) ? [index] : []));
  const caller = seeded.fraction() < 0.25 ? seeded.pick(own) : owner;
  const other = kind < 0.94 ? planBody(seeded.pick(['b', 'c']), seeded) : planFlawedBody(seeded);
  return { operation: { ...manner, caller, idempotencyKey, body: kind < 0.82 ? first : other }, isNew: false };
}

function planOrder(orders: readonly Operation[], manner: Manner, seeded: Seeded): Operation {
  const caller = seeded.whole(0, NAMES.length - 1);
  const body = seeded.fraction() < 0.1 ? planFlawedBody(seeded) : planBody('a', seeded);
  if (seeded.fraction() < 0.25) return { ...manner, caller, idempotencyKey: undefined, body, copies: 1 };
  // Numbered for each principal, so that different ones use the same keys; the marks make the two ways to write it differ.
  const number = orders.filter((order) => principalOf(order.caller) === principalOf(caller)).length;
  return { ...manner, caller, idempotencyKey: `order-"${number}"`, body };
}

function planManner(seeded: Seeded): Manner {
  const copies = seeded.fraction() < 0.7 ? 1 : seeded.whole(2, 4);
  const retries = seeded.fraction() < 0.65 ? 'until answered' : 'never';
  const patienceMs = seeded.fraction() < 0.1 ? seeded.whole(2, 30) : PATIENT_MS;
  return { copies, retries, patienceMs, seed: seeded.whole(0, 2 ** 31) };
}

/** Undefined for the static token. */
function principalOf(caller: number): string | undefined {
  const name = NAMES[caller]!;
  return name.includes('/') ? name.split('/')[0] : undefined;
}
