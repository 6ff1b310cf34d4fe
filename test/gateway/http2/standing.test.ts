import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createStanding, createStandings } from '../../../src/gateway/upstream/http2/standing.ts';

const covered = () => true;

/** A standing on a clock that only the test moves. */
function createSubject() {
  let nowMs = 1_000_000;
  const standing = createStanding(() => nowMs);
  return {
    standing,
    pass: (ms: number) => {
      nowMs += ms;
    },
    /** So many bad answers, with what the last one leads to. */
    fail(count: number, mayBeLeftOut = covered): number | undefined {
      let forMs: number | undefined;
      for (let index = 0; index < count; index++) forMs = standing.bad(mayBeLeftOut);
      return forMs;
    },
    tryOut(isWell: boolean): number | undefined {
      assert.equal(standing.isTrialDue(), true, 'a trial is due');
      standing.beginTrial();
      return standing.endTrial(isWell);
    },
  };
}

describe('the standing of an address', () => {
  it('is lost with the fifth bad answer in a row', () => {
    const { standing, fail } = createSubject();
    assert.equal(fail(4), undefined);
    assert.equal(standing.isOut, false);
    assert.equal(fail(1), 1_000);
    assert.equal(standing.isOut, true);
    assert.equal(fail(9), undefined, 'what was asked before says nothing new');
  });

  it('is kept while good answers come in between', () => {
    const { standing, fail } = createSubject();
    for (let round = 0; round < 10; round++) {
      assert.equal(fail(4), undefined);
      assert.equal(standing.good(), false);
    }
    assert.equal(standing.isOut, false);
  });

  it('is kept by the last one', () => {
    const { standing, fail } = createSubject();
    assert.equal(
      fail(50, () => false),
      undefined,
    );
    assert.equal(standing.isOut, false);
    assert.equal(fail(1), 1_000, 'until there is another');
  });

  it('is regained by a trial, and lost with the next bad answer', () => {
    const { standing, pass, fail, tryOut } = createSubject();
    fail(5);
    pass(999);
    assert.equal(standing.isTrialDue(), false);
    pass(1);
    assert.equal(tryOut(true), undefined);
    assert.equal(standing.isOut, false);
    assert.equal(fail(1), 2_000);
  });

  it('takes five bad answers again once a good one has come', () => {
    const { standing, pass, fail, tryOut } = createSubject();
    fail(5);
    pass(1_000);
    tryOut(true);
    standing.good();
    assert.equal(fail(4), undefined);
    assert.equal(fail(1), 2_000);
  });

  it('is lost for longer with each trial that fails, up to half a minute', () => {
    const { pass, fail, tryOut } = createSubject();
    let forMs = fail(5);
    const times = [forMs];
    for (let trial = 0; trial < 6; trial++) {
      pass(forMs!);
      forMs = tryOut(false);
      times.push(forMs);
    }
    assert.deepEqual(times, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it('is lost for a second again after a good minute', () => {
    const { standing, pass, fail, tryOut } = createSubject();
    fail(5);
    pass(1_000);
    tryOut(false);
    pass(2_000);
    tryOut(true);
    standing.good();
    pass(60_001);
    assert.equal(fail(5), 1_000);
  });

  it('has one trial at a time', () => {
    const { standing, pass, fail } = createSubject();
    fail(5);
    pass(1_000);
    standing.beginTrial();
    assert.equal(standing.isTrialDue(), false);
  });

  it('is regained by a good answer to a call that had nowhere else to go', () => {
    const { standing, pass, fail } = createSubject();
    fail(5);
    assert.equal(standing.good(), true);
    assert.equal(standing.isOut, false);
    pass(1_000);
    assert.equal(standing.isTrialDue(), false);
  });

  it('ignores a trial that a good answer has overtaken', () => {
    const { standing, pass, fail } = createSubject();
    fail(5);
    pass(1_000);
    standing.beginTrial();
    standing.good();
    assert.equal(standing.endTrial(false), undefined);
    assert.equal(standing.isOut, false);
  });

  it('may be tried out at once after a new connection', () => {
    const { standing, pass, fail } = createSubject();
    fail(5);
    pass(1);
    assert.equal(standing.isTrialDue(), false);
    standing.hasten();
    assert.equal(standing.isTrialDue(), true);
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
      const user = { onSilence: (key: string) => heard.push(`${name} ${key}`), onChange: () => heard.push(name) };
      standings.join(user);
      return user;
    };
    join('one');
    standings.leave(join('two'));
    standings.tellSilence('a');
    standings.tellChange();
    assert.deepEqual(heard, ['one a', 'one']);
  });
});
