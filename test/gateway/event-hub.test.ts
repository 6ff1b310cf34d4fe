import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { createEventHub } from '../../src/gateway/upstream/event-hub.ts';
import type { Follow } from '../../src/gateway/upstream/follow-events.ts';
import type { EventFrame, Gap } from '../../src/gateway/wire/sse.ts';
import type { State } from '../../src/gateway/wire/workflow-json.ts';
import { until } from '../support/waiting.ts';

const TOTAL = 40;

interface Plan {
  /** When it joins, in stored events. */
  readonly joinsAt: number;
  /** What it has, or says that it has; undefined: it wants a snapshot. */
  readonly cursor: number | undefined;
  /** After how many frames it leaves; undefined: it stays. */
  readonly leavesAfter: number | undefined;
  /** It knows when the workflow last changed, so it may be given that as its snapshot. */
  readonly hasRead: boolean;
  /** It can take a frame only after so many turns of the loop. */
  readonly slowness: number;
}

/** What the orchestrator of a run is like. */
interface Orchestrator {
  /** It answers cursor 0 with a snapshot, by the base contract. */
  readonly isBase: boolean;
  /** After how many stored events those before an id are deleted. */
  readonly deletion: { readonly at: number; readonly oldest: number } | undefined;
  /** Turns of the loop before the first frame of a stream. */
  readonly latency: number;
}

const plan = fc.record<Plan>({
  joinsAt: fc.nat({ max: TOTAL }),
  cursor: fc.option(fc.oneof(fc.nat({ max: TOTAL + 5 }), fc.constant(0)), { nil: undefined }),
  leavesAfter: fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined, freq: 3 }),
  hasRead: fc.boolean(),
  slowness: fc.nat({ max: 3 }),
});
const orchestrator = fc.record<Orchestrator>({
  isBase: fc.boolean(),
  deletion: fc.option(fc.record({ at: fc.nat({ max: TOTAL }), oldest: fc.nat({ max: TOTAL }) }), { nil: undefined }),
  latency: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 60 })),
});
const delays = fc.infiniteStream(fc.nat({ max: 3 }));

describe('event hub', () => {
  it('gives every watcher every event once, in order, however watchers come and go', async () => {
    const plans = fc.array(plan, { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(plans, orchestrator, delays, async (watchers, traits, pauses) => {
        const run = startRun(traits, pauses);
        for (; run.stored() < TOTAL; run.store()) {
          for (const watcher of watchers) if (watcher.joinsAt === run.stored()) run.join(watcher);
          await tick();
        }
        for (const watcher of watchers) if (watcher.joinsAt === TOTAL) run.join(watcher);
        await run.over();
        await until('every upstream stream is closed', () => run.open() === 0);
      }),
      { numRuns: 400 },
    );
  });

  it('reads a quiet workflow over two streams at the most, whoever comes: one began with a snapshot, one with an id', async () => {
    const quiet = { isBase: false, deletion: undefined, latency: 10 };
    const visit = fc.record({
      cursor: fc.option(fc.nat({ max: 10 })),
      hasRead: fc.boolean(),
      turns: fc.nat({ max: 30 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(visit, { minLength: 1, maxLength: 30 }), delays, async (visits, pauses) => {
        const run = startRun(quiet, pauses);
        while (run.stored() < 10) run.store();
        for (const { cursor, hasRead, turns } of visits) {
          run.join({ joinsAt: 10, cursor: cursor ?? undefined, leavesAfter: undefined, hasRead, slowness: 0 });
          for (let turn = 0; turn < turns; turn++) await tick();
        }
        for (let turn = 0; turn < 150; turn++) await tick();
        assert.ok(run.open() <= 2, `${run.open()} streams`);
        while (run.stored() < TOTAL) run.store();
        await run.over();
        await until('every upstream stream is closed', () => run.open() === 0);
      }),
      { numRuns: 60 },
    );
  });
});

/** A hub over one workflow, whose events are stored one by one; `over` rejects when a watcher saw what it should not. */
function startRun({ isBase, deletion, latency }: Orchestrator, delays: Iterator<number>) {
  let stored = 0;
  let open = 0;
  const oldest = () => (deletion && stored >= deletion.at ? Math.min(deletion.oldest, stored) : 0);
  const pause = async () => {
    for (let turns = delays.next().value as number; turns >= 0; turns--) await tick();
  };

  /** What an orchestrator does: a snapshot of what is stored, or all after the cursor; then what comes. */
  async function* follow({
    cursor,
    signal,
  }: Pick<Follow, 'cursor' | 'signal'>): AsyncGenerator<EventFrame | Gap, State> {
    open++;
    try {
      for (let turn = 0; turn < latency; turn++) await tick();
      await pause();
      const asksForSnapshot = cursor === undefined || (isBase && cursor === 0n);
      let last = asksForSnapshot ? stored : Number(cursor);
      if (asksForSnapshot) yield { id: 0n, isSnapshot: true, bytes: Buffer.from(`snapshot ${last}`) };
      while (stored < TOTAL || last < stored) {
        await pause();
        signal.throwIfAborted();
        while (last < stored) {
          if (last + 1 < oldest()) {
            const requested = BigInt(last);
            last = oldest() - 1;
            yield { requested, oldest: BigInt(last + 1) };
          }
          last++;
          yield { id: BigInt(last), atMs: last, bytes: Buffer.from(`event ${last}`) };
        }
      }
      return 'SUCCEEDED';
    } finally {
      open--;
    }
  }

  const gauge = { inc: () => undefined, dec: () => undefined };
  const hub = createEventHub(follow, { upstreamStreams: gauge } as never);
  const done: Promise<void>[] = [];

  function join({ cursor, leavesAfter, hasRead, slowness }: Plan): void {
    const readAt = stored;
    const mark = hub.mark('w');
    let last = cursor;
    let frames = 0;
    let gone = false;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    done.push(promise);
    const watcher = {
      write(bytes: Buffer): void {
        if (gone) reject(new Error('a frame came after the watcher had left'));
        const text = bytes.toString();
        const [kind, id] = text.split(' ');
        if (kind === 'snapshot' || kind === 'read') {
          const isAnswerToZero = isBase && cursor === 0 && frames === 0;
          if (last !== undefined && !isAnswerToZero) reject(new Error(`a snapshot came after ${last}`));
          last = Number(id);
        } else if (kind === 'event:') {
          const gap = JSON.parse(text.split('data: ')[1]!);
          if (gap.requested !== last || gap.oldest <= last! + 1) reject(new Error(`${text} came after ${last}`));
          last = gap.oldest - 1;
        } else if (Number(id) === (last ?? -1) + 1) last = Number(id);
        else reject(new Error(`${id} came after ${last}, with cursor ${cursor}`));
        frames++;
        if (frames === leavesAfter) {
          gone = true;
          stop?.();
          resolve();
        }
      },
      ready: () => (slowness === 0 ? undefined : turns(slowness)),
      end(outcome: { state: State } | { error: unknown }): void {
        if ('error' in outcome) reject(outcome.error);
        else if (last === TOTAL || cursor! > TOTAL) resolve();
        else reject(new Error(`it ended at ${last}`));
      },
    };
    let stop: (() => void) | undefined;
    stop = hub.watch(
      {
        workflowId: 'w',
        changedAtMs: hasRead ? readAt : undefined,
        cursor: cursor === undefined ? undefined : BigInt(cursor),
        metadata: {},
      },
      watcher,
      mark,
      () => Buffer.from(`read ${readAt}`),
    );
    if (gone) stop();
  }

  return {
    join,
    stored: () => stored,
    store(): void {
      stored++;
    },
    open: () => open,
    over: () => Promise.all(done),
  };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await tick();
}
