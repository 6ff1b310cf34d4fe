import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createTurnstile } from '../../src/shared/turnstile.ts';

const LARGE = 1_000_000;

it('what is small has its turn at once, whoever waits', () => {
  const turnstile = createTurnstile();
  void turnstile.wait(LARGE);
  assert.equal(turnstile.wait(1_000), undefined);
});

it('what is large has its turn one after the other, in order, with turns of the event loop for others in between', async () => {
  const turnstile = createTurnstile();
  const begun: number[] = [];
  let turns = 0;
  for (let index = 0; index < 5; index++) void turnstile.wait(LARGE)!.then(() => begun.push(index));
  const turnOf: number[] = [];
  for (; begun.length < 5 && turns < 100; turns++) {
    await nextTurn();
    while (turnOf.length < begun.length) turnOf.push(turns);
  }
  assert.deepEqual(begun, [0, 1, 2, 3, 4]);
  for (const [index, turn] of turnOf.slice(1).entries()) assert.ok(turn >= turnOf[index]! + 2, turnOf.join());
});

it('goes on after it had nothing to do', async () => {
  const turnstile = createTurnstile();
  await turnstile.wait(LARGE);
  await nextTurn();
  await turnstile.wait(LARGE);
});
