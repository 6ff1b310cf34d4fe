import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { Kind } from '../fuzz/exchange.ts';
import { fuzz } from '../fuzz/fuzz.ts';
import type { Over } from '../fuzz/open-socket.ts';
import { createTally } from '../fuzz/tally.ts';
import { startSmallWorld, type World } from '../fuzz/world.ts';

/** A part of what `npm run fuzz` does: the same requests each time, and some that nobody has seen. */
const SEEDS = [1, randomInt(2, 1_000_000)];
const SLOW_KIND = 'held';
const RUNS: Readonly<Record<Over, Readonly<Partial<Record<Kind, number>>>>> = {
  http1: { valid: 100, near: 250, raw: 100, held: 50 },
  tls: { raw: 24 },
  h2: { valid: 40, near: 100, raw: 60 },
};
/** No more is begun after it; one that is held takes as long as the timeouts that it runs into. */
const LIMIT_MS = 10_000;

for (const [over, runsOf] of Object.entries(RUNS) as [Over, Partial<Record<Kind, number>>][]) {
  describe(`the gateway under generated requests over ${over}`, () => {
    let world: World;
    before(async () => {
      world = await startSmallWorld(over);
    });
    after(() => world.close());

    for (const [kind, runs] of Object.entries(runsOf) as [Kind, number][]) {
      it(`has an answer to each that is ${kind}`, async () => {
        const tally = createTally();
        for (const seed of kind === SLOW_KIND ? SEEDS.slice(1) : SEEDS) {
          const found = await fuzz(world, { kind, seed, runs, limitMs: LIMIT_MS }, tally);
          const replay = found?.path === undefined ? '' : ` --replay ${found.path}`;
          assert.equal(
            found,
            undefined,
            `npm run fuzz -- --over ${over} --kind ${kind} --seed ${seed}${replay}\n${found?.message}`,
          );
        }
        const statuses = tally.statuses(kind);
        assert.ok(statuses.has('200') && statuses.size >= 3, tally.table());
      });
    }
  });
}
