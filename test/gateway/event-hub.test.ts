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
  /** What it already has; undefined: it wants a snapshot. */
  readonly cursor: number | undefined;
  /** After how many frames it leaves; undefined: it stays. */
  readonly leavesAfter: number | undefined;
  /** It has read the workflow itself, so it may be given that as its snapshot. */
  readonly hasRead: boolean;
  /** It can take a frame only after so many turns of the loop. */
  readonly slowness: number;
}

const plan = fc.record<Plan>({
  joinsAt: fc.nat({ max: TOTAL }),
  cursor: fc.option(fc.nat({ max: TOTAL }), { nil: undefined }),
  leavesAfter: fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined, freq: 3 }),
  hasRead: fc.boolean(),
  slowness: fc.nat({ max: 3 }),
});

/** After how many stored events those before an id are deleted. */
const deletion = fc.record({ at: fc.nat({ max: TOTAL }), oldest: fc.nat({ max: TOTAL }) });

describe('event hub', () => {
  it('gives every watcher every event once, in order, however watchers come and go', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(plan, { minLength: 1, maxLength: 8 }),
        fc.option(deletion, { nil: undefined }),
        fc.infiniteStream(fc.nat({ max: 3 })),
        check,
      ),
      { numRuns: 300 },
    );
  });
});

async function check(
  plans: readonly Plan[],
  deletion: { readonly at: number; readonly oldest: number } | undefined,
  delays: Iterator<number>,
): Promise<void> {
  let stored = 0;
  const oldest = () => (deletion && stored >= deletion.at ? Math.min(deletion.oldest, stored) : 0);
  let open = 0;
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
      await pause();
      let last = Number(cursor ?? stored);
      if (cursor === undefined) yield { id: 0n, bytes: Buffer.from(`snapshot ${last}`) };
      while (last < TOTAL) {
        await pause();
        signal.throwIfAborted();
        while (last < stored) {
          if (last + 1 < oldest()) {
            last = oldest() - 1;
            yield { oldest: BigInt(last + 1) };
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
    const from = cursor === undefined ? undefined : Math.min(cursor, stored);
    const readAt = stored;
    const mark = hub.mark('w');
    let last = from;
    let mayOverlap = false;
    let frames = 0;
    let gone = false;
    done.push(
      new Promise<void>((resolve, reject) => {
        let stop: (() => void) | undefined;
        stop = hub.watch(
          {
            workflowId: 'w',
            changedAtMs: hasRead ? readAt : undefined,
            cursor: from === undefined ? undefined : BigInt(from),
            metadata: {},
          },
          {
            write(bytes) {
              if (gone) return reject(new Error('a frame came after the watcher had left'));
              frames++;
              const text = bytes.toString();
              const [kind, id] = text.split(' ');
              if (kind === 'snapshot' || kind === 'read') {
                if (last !== undefined) reject(new Error(`a snapshot came after ${last}`));
                last = Number(id);
                mayOverlap = kind === 'read';
              } else if (kind === 'event:') {
                const gap = JSON.parse(text.split('data: ')[1]!);
                const isRight = gap.requested <= last! && (mayOverlap || gap.oldest > last! + 1);
                if (!isRight) reject(new Error(`${text} came after ${last}`));
                last = Math.max(last!, gap.oldest - 1);
              } else if (mayOverlap && Number(id) <= last!) {
                // What was on its way when the workflow was read is in the snapshot already, and comes all the same.
                last = Number(id);
                mayOverlap = false;
              } else if (Number(id) === (last ?? -1) + 1) last = Number(id);
              else reject(new Error(`${id} came after ${last}`));
              if (frames === leavesAfter) {
                gone = true;
                stop?.();
                resolve();
              }
            },
            ready: () =>
              slowness === 0
                ? undefined
                : Promise.resolve().then(async () => {
                    for (let turns = 0; turns < slowness; turns++) await tick();
                  }),
            end(outcome) {
              if ('error' in outcome) reject(outcome.error as Error);
              else if (last !== TOTAL) reject(new Error(`it ended at ${last}`));
              else resolve();
            },
          },
          hasRead && mark ? { ...mark, snapshot: () => Buffer.from(`read ${readAt}`) } : undefined,
        );
        if (gone) stop();
      }),
    );
  }

  for (; stored <= TOTAL; stored++) {
    for (const candidate of plans) if (candidate.joinsAt === stored) join(candidate);
    await tick();
    if (stored === TOTAL) break;
  }
  await Promise.all(done);
  await until('every upstream stream is closed', () => open === 0);
  assert.equal(open, 0);
}
