import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ageText } from '../../console/src/age-text.ts';
import { readQuota } from '../../console/src/quota.ts';
import { retryText } from '../../console/src/retry-time.ts';
import { matchRoute, workflowPath } from '../../console/src/routes.ts';

describe('matchRoute', () => {
  it('names the page of every path', () => {
    const cases = {
      '/console': { page: 'list' },
      '/console/': { page: 'list' },
      '/console/submit': { page: 'submit' },
      '/console/submit/': { page: 'submit' },
      '/console/workflows/0b7f': { page: 'workflow', workflowId: '0b7f' },
      '/console/workflows/a%3Ab': { page: 'workflow', workflowId: 'a:b' },
      '/console/workflows': { page: 'not-found' },
      '/console/workflows/a/b': { page: 'not-found' },
      '/console/workflows/%E0%A4%A': { page: 'not-found' },
      '/console/nothing': { page: 'not-found' },
      '/': { page: 'not-found' },
    };
    for (const [path, route] of Object.entries(cases)) assert.deepEqual(matchRoute(path), route, path);
  });

  it('finds a workflow where its path leads', () => {
    for (const workflowId of ['0b7f3c52', 'a:b.c-d_e', 'é/%']) {
      assert.deepEqual(matchRoute(workflowPath(workflowId)), { page: 'workflow', workflowId });
    }
  });
});

describe('ageText', () => {
  it('uses the largest unit that is not less than one', () => {
    const cases = [
      [0, 'just now'],
      [9_999, 'just now'],
      [10_000, '10 s ago'],
      [59_999, '59 s ago'],
      [60_000, '1 min ago'],
      [3_599_999, '59 min ago'],
      [3_600_000, '1 h ago'],
      [86_399_999, '23 h ago'],
      [86_400_000, '1 day ago'],
      [10 * 86_400_000, '10 days ago'],
      [-5_000, 'just now'],
    ] as const;
    for (const [passedMs, text] of cases) assert.equal(ageText(1_000_000, 1_000_000 + passedMs), text);
  });
});

describe('retryText', () => {
  it('says for how long, and until when', () => {
    const now = new Date(2026, 0, 15, 10, 0, 0);
    const at = (seconds: number) => new Date(now.getTime() + seconds * 1_000).toLocaleTimeString();
    assert.equal(retryText(12, now), `in 12 s, at ${at(12)}`);
    assert.equal(retryText(61, now), `in 2 min, at ${at(61)}`);
    assert.equal(retryText(7_201, now), `in 3 h, at ${at(7_201)}`);
  });
});

describe('readQuota', () => {
  it('is undefined where a credential has no limit, or a header is no number', () => {
    assert.equal(readQuota(new Headers()), undefined);
    assert.equal(readQuota(new Headers({ 'X-RateLimit-Limit': '5' })), undefined);
    assert.equal(readQuota(new Headers({ 'X-RateLimit-Limit': 'x', 'X-RateLimit-Remaining': '1' })), undefined);
  });
});
