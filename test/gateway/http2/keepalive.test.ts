import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createKeepalive } from '../../../src/gateway/upstream/http2/keepalive.ts';

const PROBE_ANSWER_MS = 5_000;
const LONG_MS = 60_000;

/** A keepalive that has read nothing for long, on a clock that the test moves. */
function startSilent(test: TestContext) {
  let now = 0;
  test.mock.method(performance, 'now', () => now);
  test.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const silences: number[] = [];
  let pings = 0;
  const keepalive = createKeepalive(1_000 * LONG_MS, {
    ping: () => {
      pings++;
    },
    isBusy: () => true,
    onSilence: (ms) => silences.push(ms),
  });
  const tick = (ms: number) => {
    now += ms;
    test.mock.timers.tick(ms);
  };
  tick(LONG_MS);
  return { keepalive, silences, tick, pings: () => pings };
}

describe('the keepalive, asked to probe,', () => {
  it('tells when nothing comes after its PING', (test) => {
    const { keepalive, silences, tick, pings } = startSilent(test);
    keepalive.probe(performance.now());
    assert.equal(pings(), 1);
    tick(PROBE_ANSWER_MS - 1);
    assert.deepEqual(silences, []);
    tick(1);
    assert.deepEqual(silences, [PROBE_ANSWER_MS]);
    keepalive.close();
  });

  it('takes data for a sign of life, when the answer to its PING stands behind them', (test) => {
    const { keepalive, silences, tick, pings } = startSilent(test);
    keepalive.probe(performance.now());
    assert.equal(pings(), 1);
    tick(PROBE_ANSWER_MS - 1);
    keepalive.onRead();
    tick(LONG_MS);
    assert.deepEqual(silences, []);
    keepalive.close();
  });

  it('asks again soon when something has come since the last answer', (test) => {
    const { keepalive, silences, tick, pings } = startSilent(test);
    keepalive.probe(performance.now());
    tick(10);
    keepalive.onRead();
    tick(10);
    keepalive.probe(performance.now());
    assert.equal(pings(), 1, 'nothing but the answer has come');
    keepalive.onRead();
    tick(10);
    keepalive.probe(performance.now());
    assert.equal(pings(), 2);
    tick(PROBE_ANSWER_MS);
    assert.deepEqual(silences, [PROBE_ANSWER_MS]);
    keepalive.close();
  });

  it('does not ask a server that is talking, nor one that it has just asked', (test) => {
    const { keepalive, tick, pings } = startSilent(test);
    keepalive.onRead();
    keepalive.probe(performance.now() - 1);
    assert.equal(pings(), 0);
    tick(LONG_MS);
    keepalive.probe(performance.now());
    assert.equal(pings(), 1);
    keepalive.onRead();
    tick(PROBE_ANSWER_MS);
    keepalive.probe(performance.now());
    assert.equal(pings(), 1);
    keepalive.close();
  });

  it('waits for nothing when it is closed', (test) => {
    const { keepalive, silences, tick } = startSilent(test);
    keepalive.probe(performance.now());
    keepalive.close();
    tick(LONG_MS);
    assert.deepEqual(silences, []);
  });
});
