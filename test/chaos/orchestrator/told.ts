import type { StoredEntry } from '../accounts/snapshot.ts';
import type { Answer } from './client.ts';
import type { Evidence, StoredEvent, StoredHistory } from './evidence.ts';
import type { Order } from './plan.ts';
import type { Story } from './story.ts';

const ORDER: Order = {
  name: 'order-0',
  atMs: 0,
  caller: 0,
  shape: 'chain',
  steps: [
    { id: 'a', tool: 'rfdiffusion', dependsOn: [], params: {} },
    { id: 'b', tool: 'rfdiffusion', dependsOn: ['a'], params: {} },
  ],
  ending: 'succeeds',
  cancelAfter: 1,
  seed: 0,
};

/** The events of a history, such as `a RUNNING 0.5` or, without a step, `SUCCEEDED`. */
export function eventsOf(lines: readonly string[]): StoredEvent[] {
  const states = new Map(ORDER.steps.map(({ id }) => [id, 'QUEUED']));
  return lines.map((line, index) => {
    const [, step, state, fraction] = /^(?:([ab]) )?([A-Z]+)(?: ([\d.]+))?$/.exec(line)!;
    if (step) states.set(step, state!);
    const steps = step ? new Map<string, string>() : new Map(states);
    return { id: index + 1, step, state: state!, fraction: Number(fraction ?? 0), steps };
  });
}

export const RUN_A = ['QUEUED', 'RUNNING', 'a RUNNING', 'a RUNNING 0.5'];
export const WELL = [...RUN_A, 'a SUCCEEDED', 'b RUNNING', 'b SUCCEEDED', 'SUCCEEDED'];
export const FAILED_AT_ONCE = [...RUN_A, 'a FAILED', 'FAILED'];
export const FILE = { uri: 'r2://bucket/artifacts/1.pdb', sizeBytes: 5 };

export function historyOf(lines: readonly string[], rest: Partial<StoredHistory> = {}): StoredHistory {
  const events = eventsOf(lines);
  const states = new Map(ORDER.steps.map(({ id }) => [id, 'QUEUED']));
  for (const { step, state } of events) if (step) states.set(step, state);
  const steps = [...states].map(([id, state]) => ({ id, state, files: state === 'SUCCEEDED' ? [FILE] : [] }));
  const state = events.findLast(({ step }) => !step)!.state;
  return { id: 'w0', order: 'order-0', state, lastEventId: events.length, events, steps, ...rest };
}

export const answer = (status: number, rest: Partial<Answer> = {}): Answer => ({
  ...{ status, code: undefined, id: 'w0', state: 'QUEUED', before: [] },
  ...rest,
});

/** Somebody who saw everything that is stored. */
export function storyOf(history: StoredHistory, rest: Partial<Story> = {}): Story {
  return {
    order: ORDER,
    submitted: answer(201),
    seen: history.events.map(({ id, step, state }) => ({ id, step, state })),
    ends: [history.state],
    cancelled: undefined,
    retried: [],
    oddities: [],
    connections: 1,
    isOver: true,
    ...rest,
  };
}

export const entry = (delta: number, reason: string, balanceAfter: number, principal = 'alice'): StoredEntry => ({
  ...{ principal, delta, reason, balanceAfter },
});
export const GRANT = entry(30, 'grant:admin', 30);
export const DEBIT = entry(-14, 'debit:wf:w0', 16);
export const REFUND = entry(14, 'refund:wf:w0', 30);
export const PAID = [GRANT, DEBIT];
export const OTHERS_PAID = [entry(-14, 'debit:wf:w1', 16), entry(-14, 'debit:wf:w2', 2)];

/** A run of one order, told by how it differs from one that went well. */
export interface Told {
  readonly events?: readonly string[];
  readonly history?: Partial<StoredHistory>;
  /** Workflows that are stored, and of which no story tells. */
  readonly strays?: readonly StoredHistory[];
  /** So many more orders, of which all is well. */
  readonly others?: number;
  readonly limit?: number;
  readonly story?: Partial<Story>;
  readonly ending?: Order['ending'];
  readonly ledger?: readonly StoredEntry[];
  readonly owner?: string | null;
  readonly used?: number;
  readonly balance?: number;
  readonly rest?: Partial<Evidence>;
}

export function evidenceOf(told: Told): Evidence {
  const history = historyOf(told.events ?? WELL, told.history);
  const story = storyOf(history, { order: { ...ORDER, ending: told.ending ?? 'succeeds' }, ...told.story });
  const others = Array.from({ length: told.others ?? 0 }, (_, index) => {
    const other = historyOf(WELL, { id: `w${index + 1}`, order: `order-${index + 1}` });
    return {
      history: other,
      story: storyOf(other, { order: { ...ORDER, name: other.order }, submitted: answer(201, { id: other.id }) }),
    };
  });
  const own = story.submitted?.status === 201 ? [history] : [];
  const histories = [...own, ...others.map((other) => other.history), ...(told.strays ?? [])];
  const { ledger = own.length > 0 ? PAID : [GRANT], used = own.length + others.length, owner = 'alice' } = told;
  const workflow = { order: null, body: null, steps: 2, succeeded: 2 };
  return {
    plan: {
      callers: [{ name: 'alice', principal: 'alice', limit: told.limit ?? 2 }],
      credits: { alice: 30 },
      orders: [],
      faults: [],
    },
    keyHashes: ['h0'],
    stories: [story, ...others.map((other) => other.story)],
    histories,
    accounts: {
      workflows: histories.map(({ id, state }) => ({ id, state, owner, ...workflow })),
      keys: [{ id: 'k0', hash: 'h0', used }],
      balances: new Map([['alice', told.balance ?? ledger.at(-1)!.balanceAfter]]),
      ledger,
    },
    queue: [],
    objects: new Map([[FILE.uri, FILE.sizeBytes]]),
    handovers: [],
    outages: [],
    endings: [],
    endMs: 100_000,
    ...told.rest,
  };
}
