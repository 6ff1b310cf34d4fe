import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createProgressWriter } from '../../src/orchestrator/engine/progress.ts';

describe('a progress writer', () => {
  it('writes the first at once, then the newest after each interval', (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const written: number[] = [];
    const progress = createProgressWriter(async (fraction) => void written.push(fraction), 250, 0);
    progress.report(0.1);
    assert.deepEqual(written, [0.1]);
    return settle()
      .then(() => {
        progress.report(0.2);
        progress.report(0.3);
        context.mock.timers.tick(249);
        assert.deepEqual(written, [0.1]);
        context.mock.timers.tick(1);
        assert.deepEqual(written, [0.1, 0.3]);
      })
      .then(settle)
      .then(() => {
        context.mock.timers.tick(250);
        assert.deepEqual(written, [0.1, 0.3], 'nothing new, nothing written');
        progress.report(0.4);
        assert.deepEqual(written, [0.1, 0.3, 0.4]);
      });
  });

  it('leaves out what goes back, is no number or lies beyond the end', () => {
    const written: number[] = [];
    const progress = createProgressWriter(async (fraction) => void written.push(fraction), 0, 0.5);
    for (const fraction of [0.2, 0.5, Number.NaN, -1, Number.POSITIVE_INFINITY]) progress.report(fraction);
    assert.deepEqual(written, []);
    progress.report(3);
    assert.deepEqual(written, [1]);
  });

  it('writes one at a time, and is stopped when the last is written', async () => {
    const first = Promise.withResolvers<void>();
    const written: number[] = [];
    const write = (fraction: number) => {
      written.push(fraction);
      return first.promise;
    };
    const progress = createProgressWriter(write, 0, 0);
    progress.report(0.1);
    progress.report(0.2);
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(written, [0.1], 'the first is still being written');
    let stopped = false;
    const stopping = progress.stop().then(() => {
      stopped = true;
    });
    await settle();
    assert.equal(stopped, false);
    first.resolve();
    await stopping;
    progress.report(0.9);
    assert.deepEqual(written, [0.1]);
  });
});

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
