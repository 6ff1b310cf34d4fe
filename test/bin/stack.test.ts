import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readStackConfig } from '../../src/bin/stack.ts';
import { StartupError } from '../../src/shared/startup-error.ts';

describe('the settings of npm start', () => {
  it('refuse several workers, because it is one process', () => {
    assert.throws(
      () => readStackConfig({ FOLDFORGE_GATEWAY__WORKERS: '2' }),
      (error) => {
        assert.ok(error instanceof StartupError);
        assert.equal(error.exitCode, 78);
        assert.match(error.message, /^FOLDFORGE_GATEWAY__WORKERS is 2, but npm start has one process/);
        return true;
      },
    );
    assert.equal(readStackConfig({ FOLDFORGE_GATEWAY__WORKERS: '1' }).gateway.WORKERS, 1);
  });
});
