import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createStanding, createStandings } from '../../../src/gateway/upstream/http2/standing.ts';

const covered = () => true;
const alone = () => false;

/** A standing on a clock that only the test moves. Every answer is to a call that was made just now. */
function createSubject() {
  let nowMs = 1_000_000;
  const standing = createStanding({ now: () => nowMs });
  return {
    standing,
    now: () => nowMs,
    pass: (ms: number) => {
      nowMs += ms;
    },
    good: () => standing.good(nowMs),
    /** So many bad answers. True: one of them has opened the circuit. */
    fail(count: number, isCovered = covered): boolean {
      let hasOpened = false;
      for (let index = 0; index < count; index++) hasOpened = standing.bad(nowMs, isCovered) || hasOpened;
      return hasOpened;
    },
    /** Milliseconds until a trial is due. */
    trialIn: (isCovered = true) => standing.trialAt(isCovered) - nowMs,
    /** Waits for the trial, and ends it. */
    tryOut(isWell: boolean): boolean {
      nowMs = Math.max(nowMs, standing.trialAt(true));
      standing.beginTrial();
      return standing.endTrial(isWell, true);
    },
  };
}

describe('the circuit of an address', () => {
  it('opens with the fifth bad answer in a row', () => {
    const { standing, fail, trialIn } = createSubject();
    assert.equal(fail(4), false);
    assert.equal(standing.isOut, false);
    assert.equal(fail(1), true);
    assert.equal(standing.isOut, true);
    assert.equal(trialIn(), 1_000);
    assert.equal(fail(9), false, 'what was asked before says nothing new');
  });

  it('stays closed while good answers come in between', () => {
    const { standing, fail, good } = createSubject();
    for (let round = 0; round < 10; round++) {
      assert.equal(fail(4), false);
      assert.equal(good(), false);
    }
    assert.equal(standing.isOut, false);
  });

  it('stays closed while calls are answered that were made after those that fail', () => {
    const { standing, now, pass } = createSubject();
    const askedAt = now();
    pass(1);
    standing.good(now());
    pass(10_000);
    for (let index = 0; index < 50; index++) assert.equal(standing.bad(askedAt, alone), false);
    assert.equal(standing.isOut, false);
    for (let index = 0; index < 5; index++) standing.bad(now(), alone);
    assert.equal(standing.isOut, true, 'others are not answered any more either');
  });

  it('opens of the last one, too, which is tried out at once and every second', () => {
    const { standing, pass, fail, trialIn } = createSubject();
    assert.equal(fail(5, alone), true);
    for (let trial = 0; trial < 40; trial++) {
      assert.ok(trialIn(false) <= 0);
      standing.beginTrial();
      assert.equal(trialIn(false), 1_000, 'from its beginning, however long it takes');
      pass(1_000);
    }
    for (let trial = 0; trial < 39; trial++) assert.equal(standing.endTrial(false, false), false);
    assert.equal(standing.endTrial(true, false), true);
  });

  it('is tried out at once when the last other one goes', () => {
    const { standing, fail, tryOut, trialIn, pass } = createSubject();
    fail(5);
    for (let trial = 0; trial < 5; trial++) tryOut(false);
    pass(1_000);
    assert.equal(trialIn(true), 29_000);
    assert.ok(trialIn(false) <= 0);
    assert.equal(standing.isOut, true);
  });

  it('is half-open after a trial, and opens with the next bad answer', () => {
    const { standing, pass, fail, tryOut, trialIn } = createSubject();
    fail(5);
    assert.equal(tryOut(true), true);
    assert.equal(standing.isOut, false);
    pass(1);
    assert.equal(fail(1), true);
    assert.equal(trialIn(), 2_000);
  });

  it('is not opened again by calls from before it', () => {
    const { standing, now, fail, tryOut } = createSubject();
    const askedAt = now() - 1;
    fail(5);
    tryOut(true);
    for (let index = 0; index < 9; index++) assert.equal(standing.bad(askedAt, alone), false);
  });

  it('closes with the next good answer, and takes five bad ones to open', () => {
    const { fail, good, pass, tryOut, trialIn } = createSubject();
    fail(5);
    tryOut(true);
    assert.equal(good(), true);
    assert.equal(good(), false, 'it is told once');
    pass(1);
    assert.equal(fail(4), false);
    assert.equal(fail(1), true);
    assert.equal(trialIn(), 2_000);
  });

  it('is open for longer with each trial that fails, up to half a minute', () => {
    const { fail, tryOut, trialIn } = createSubject();
    fail(5);
    const times = [trialIn()];
    for (let trial = 0; trial < 6; trial++) {
      tryOut(false);
      times.push(trialIn());
    }
    assert.deepEqual(times, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it('is open for a second again after a good minute', () => {
    const { good, pass, fail, tryOut, trialIn } = createSubject();
    fail(5);
    tryOut(false);
    tryOut(true);
    good();
    pass(60_001);
    assert.equal(fail(5), true);
    assert.equal(trialIn(), 1_000);
  });

  it('has one trial at a time while another address stands in', () => {
    const { standing, pass, fail, trialIn } = createSubject();
    fail(5);
    pass(1_000);
    standing.beginTrial();
    assert.equal(trialIn(), Number.POSITIVE_INFINITY);
  });

  it('is closed by a good answer to a call from before', () => {
    const { standing, good, fail, trialIn } = createSubject();
    fail(5);
    assert.equal(good(), true);
    assert.equal(standing.isOut, false);
    assert.equal(trialIn(), Number.POSITIVE_INFINITY);
  });

  it('ignores a trial that a good answer has overtaken', () => {
    const { standing, good, pass, fail } = createSubject();
    fail(5);
    pass(1_000);
    standing.beginTrial();
    good();
    assert.equal(standing.endTrial(false, true), false);
    assert.equal(standing.isOut, false);
  });

  it('may be tried out at once after a new connection', () => {
    const { standing, fail, trialIn } = createSubject();
    fail(5);
    standing.beginTrial();
    standing.endTrial(false, true);
    assert.equal(trialIn(false), 1_000);
    standing.hasten();
    assert.ok(trialIn(true) <= 0);
    assert.ok(trialIn(false) <= 0);
  });
});

describe('standings', () => {
  it('are shared by those who have the same address', () => {
    const standings = createStandings();
    const standing = standings.take('a');
    assert.equal(standings.take('a'), standing);
    assert.notEqual(standings.take('b'), standing);
    standings.release('a');
    assert.equal(standings.take('a'), standing);
  });

  it('are forgotten with their last user', () => {
    const standings = createStandings();
    const standing = standings.take('a');
    standings.take('a');
    standings.release('a');
    standings.release('a');
    assert.notEqual(standings.take('a'), standing);
  });

  it('tell all users who have not left', () => {
    const standings = createStandings();
    const heard: string[] = [];
    const join = (name: string) => {
      const user = {
        onSilence: (key: string) => heard.push(`${name} ${key}`),
        isCovered: (key: string) => key === name,
        onChange: () => heard.push(name),
      };
      standings.join(user);
      return user;
    };
    join('one');
    standings.leave(join('two'));
    standings.tellSilence('a');
    standings.tellChange();
    assert.deepEqual(heard, ['one a', 'one']);
    join('three');
    assert.deepEqual(['one', 'two', 'three'].map(standings.isCovered), [true, false, true]);
  });
});
