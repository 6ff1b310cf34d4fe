import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createCircuitBreaker, type Outcome } from '../../src/gateway/upstream/circuit-breaker.ts';

const LIMIT = 5;
const TRIAL_EVERY_MS = 1_000;

/** A breaker under a clock that is moved by hand. */
function createScene() {
  const turns: boolean[] = [];
  let nowMs = 0;
  const breaker = createCircuitBreaker({ now: () => nowMs, onChange: (isOpen) => void turns.push(isOpen) });
  return {
    begin: breaker.begin,
    turns,
    isOpen: () => turns.at(-1) ?? false,
    now: () => nowMs,
    pass(ms: number): void {
      nowMs += ms;
    },
    call(outcome: Outcome): boolean {
      const tell = breaker.begin();
      tell?.(outcome);
      return tell !== undefined;
    },
  };
}

type Step = { readonly pass: number } | { readonly begin: true } | { readonly end: number; readonly outcome: Outcome };

const steps = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ pass: fc.nat({ max: 700 }) }) },
    { weight: 4, arbitrary: fc.constant({ begin: true as const }) },
    {
      weight: 4,
      arbitrary: fc.record({
        end: fc.nat(),
        outcome: fc.constantFrom<Outcome>('good', 'bad', 'bad', 'bad', 'unknown'),
      }),
    },
  ),
  { maxLength: 150, size: 'max' },
);

describe('a circuit breaker', () => {
  it('opens after five failures in a row, and closes with the first good answer', () => {
    const scene = createScene();
    for (let index = 1; index < LIMIT; index++) assert.ok(scene.call('bad'));
    assert.ok(scene.call('good'));
    for (let index = 1; index <= LIMIT; index++) assert.ok(scene.call('bad'));
    assert.ok(!scene.call('good'), 'it is open');
    scene.pass(TRIAL_EVERY_MS - 1);
    assert.ok(!scene.begin(), 'it is too early');
    scene.pass(1);
    assert.ok(scene.call('bad'), 'a trial');
    assert.ok(!scene.call('good'));
    scene.pass(TRIAL_EVERY_MS);
    assert.ok(scene.call('good'));
    assert.ok(scene.call('good'));
    assert.deepEqual(scene.turns, [true, false]);
  });

  it('does not wait for a trial that gets no answer, nor count one whose client left', () => {
    const scene = createScene();
    for (let index = 0; index < LIMIT; index++) scene.call('bad');
    scene.pass(TRIAL_EVERY_MS);
    assert.ok(scene.begin(), 'it never ends');
    assert.ok(!scene.begin());
    scene.pass(TRIAL_EVERY_MS);
    assert.ok(scene.call('unknown'));
    assert.ok(scene.call('good'), 'the next one at once');
    assert.ok(!scene.isOpen());
  });

  it('takes nothing for news that was asked before the last good answer', () => {
    const scene = createScene();
    const hanging = Array.from({ length: 3 * LIMIT }, () => scene.begin()!);
    scene.call('good');
    for (const tell of hanging) tell('bad');
    assert.deepEqual(scene.turns, []);
  });

  it('lets through what it should, whatever happens in which order', () => {
    fc.assert(
      fc.property(steps, (sequence: readonly Step[]) => {
        const scene = createScene();
        const open: { readonly tell: (outcome: Outcome) => void; readonly isTrial: boolean; readonly goods: number }[] =
          [];
        let goods = 0;
        let failures = 0;
        /** When trials were let through that are not known to have said nothing. */
        let trials: number[] = [];
        for (const step of sequence) {
          const wasOpen = scene.isOpen();
          if ('pass' in step) scene.pass(step.pass);
          else if ('begin' in step) {
            const tell = scene.begin();
            if (!wasOpen) assert.ok(tell, 'while it is closed every call is made');
            if (!tell) continue;
            if (wasOpen) trials.push(scene.now());
            open.push({ tell, isTrial: wasOpen, goods });
          } else if (open.length > 0) {
            const [call] = open.splice(step.end % open.length, 1);
            call!.tell(step.outcome);
            if (step.outcome === 'unknown' && call!.isTrial) trials = [];
            if (step.outcome === 'good') {
              goods++;
              failures = 0;
              assert.ok(!scene.isOpen(), 'a good answer closes it');
            }
            if (step.outcome === 'bad' && !wasOpen && call!.goods === goods) failures++;
            if (!wasOpen && scene.isOpen()) {
              assert.equal(failures, LIMIT, 'it opens with the fifth failure');
              trials = [scene.now()];
              failures = 0;
            }
            if (!scene.isOpen()) assert.ok(failures < LIMIT, 'it opens with the fifth failure');
          }
          const [last = 0, before = Number.NEGATIVE_INFINITY] = trials.toReversed();
          assert.ok(last - before >= TRIAL_EVERY_MS, 'one trial a second');
        }
        scene.pass(TRIAL_EVERY_MS);
        assert.ok(scene.begin(), 'and never less');
      }),
      { numRuns: 300 },
    );
  });
});
