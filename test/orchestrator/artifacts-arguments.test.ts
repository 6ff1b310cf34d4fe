import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readArtifactsArguments } from '../../src/orchestrator/artifacts-arguments.ts';

const DAY_MS = 24 * 3600 * 1000;

describe('the arguments of artifacts', () => {
  it('are a verb, an age and whether it is meant', () => {
    const read = (line: string) => readArtifactsArguments(line.split(' '));
    assert.deepEqual(read('list'), { verb: 'list', ageMs: 7 * DAY_MS, sure: false });
    assert.deepEqual(read('list --older-than 90m'), { verb: 'list', ageMs: 90 * 60_000, sure: false });
    assert.deepEqual(read('delete --older-than=12h'), { verb: 'delete', ageMs: DAY_MS / 2, sure: false });
    assert.deepEqual(read('delete --yes --older-than 0d'), { verb: 'delete', ageMs: 0, sure: true });
  });

  it('are refused, with the usage or what is wrong, when they make no command', () => {
    const wrong: Record<string, RegExp> = {
      '': /^usage: artifacts list/,
      remove: /^usage: artifacts list/,
      'list --yes': /^a list needs no --yes/,
      'delete r2://b/x': /usage: artifacts list/,
      'delete --older-than': /usage: artifacts list/,
      'delete --older-than 7': /^--older-than is "7", but must be a duration such as 7d, 12h or 30m$/,
      'delete --older-than -1d': /usage: artifacts list|must be a duration/,
      'delete --force': /--force/,
    };
    for (const [line, message] of Object.entries(wrong)) {
      assert.throws(
        () => readArtifactsArguments(line.split(' ')),
        { name: 'StartupError', exitCode: 64, message },
        line,
      );
    }
  });
});
