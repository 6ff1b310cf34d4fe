import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { announce } from '../../../console/src/workflow/announcements.ts';
import { sequencesOf, toFasta } from '../../../console/src/workflow/fasta.ts';
import {
  durationMs,
  formatBytes,
  formatDuration,
  formatInstant,
  formatMetric,
  formatShare,
} from '../../../console/src/workflow/figures.ts';
import { exampleStatus, exampleWorkflow } from './example-workflow.ts';

describe('figures', () => {
  it('writes sizes', () => {
    assert.deepEqual([0, 999, 1_000, 35_412, 999_499, 999_500, 123_456_789, 5e15, 5e18].map(formatBytes), [
      '0 B',
      '999 B',
      '1.0 kB',
      '35.4 kB',
      '999 kB',
      '1.0 MB',
      '123 MB',
      '5.0 PB',
      '5000 PB',
    ]);
  });

  it('writes durations', () => {
    const seconds = [0, 0.84, 9.96, 59.4, 59.6, 185, 3_599.6, 7_620, 200_000];
    assert.deepEqual(
      seconds.map((s) => formatDuration(s * 1_000)),
      ['0.0 s', '0.8 s', '10 s', '59 s', '1 min 00 s', '3 min 05 s', '1 h 00 min', '2 h 07 min', '2 d 7 h'],
    );
    assert.equal(formatDuration(59_900, { whole: true }), '59 s');
    assert.equal(formatDuration(900, { whole: true }), '0 s');
  });

  it('writes shares, and 100 % only when all is done', () => {
    assert.deepEqual([0, 0.999, 1, 1.2, -1].map(formatShare), ['0 %', '99 %', '100 %', '100 %', '0 %']);
  });

  it('writes scores', () => {
    assert.deepEqual([91.4, 0.123456, 1e-9, 165].map(formatMetric), ['91.4', '0.12346', '1e-9', '165']);
  });

  it('knows no time where there is none', () => {
    assert.equal(formatInstant(undefined), undefined);
    assert.equal(formatInstant('nonsense'), undefined);
    assert.equal(durationMs(undefined, 5), undefined);
    assert.equal(durationMs('2026-01-15T09:30:00Z', '2026-01-15T09:30:01.500Z'), 1_500);
    assert.equal(durationMs('2026-01-15T09:30:00Z', Date.parse('2026-01-15T09:29:00Z')), 0, 'clocks may differ');
  });
});

describe('announce', () => {
  const before = exampleWorkflow(['a', 'b'], { state: 'RUNNING' });
  const withSteps = (...states: ReturnType<typeof exampleStatus>[]) => ({ ...before, step_statuses: states });

  it('says nothing about progress', () => {
    assert.equal(announce(undefined, before), '');
    const moved = withSteps(exampleStatus('a', { state: 'RUNNING', fraction: 0.5 }), exampleStatus('b'));
    assert.equal(announce(before, moved), '');
  });

  it('says which steps have ended, and how', () => {
    const done = withSteps(exampleStatus('a', { state: 'SUCCEEDED', fraction: 1 }), exampleStatus('b'));
    assert.equal(announce(before, done), 'Step a has succeeded. 1 of 2 steps are done.');
    const error = { code: 'OOM', message: 'out of memory', retryable: true };
    const failed = {
      ...withSteps(exampleStatus('a', { state: 'FAILED', error }), exampleStatus('b')),
      state: 'FAILED' as const,
    };
    assert.equal(announce(before, failed), 'Step a has failed: out of memory. The workflow has failed.');
  });

  it('says once that the workflow was cancelled', () => {
    const cancelled = {
      ...withSteps(exampleStatus('a', { state: 'CANCELLED' }), exampleStatus('b', { state: 'CANCELLED' })),
      state: 'CANCELLED' as const,
    };
    assert.equal(announce(before, cancelled), 'The workflow was cancelled.');
    assert.equal(announce(cancelled, cancelled), '');
  });
});

describe('sequences', () => {
  const workflow = exampleWorkflow(['a', 'b'], {
    step_statuses: [
      exampleStatus('b', {
        sequences: [
          { fasta: '>sample=1, score=0.9\nMKT\nLLV*\n', sample_index: 1, global_score: 0.9, seq_recovery: 0.5 },
        ],
      }),
      exampleStatus('a', { sequences: [{ fasta: 'GGG', sample_index: 7 }] }),
    ],
  });

  it('are read from their records, in the order of the steps', () => {
    assert.deepEqual(
      sequencesOf(workflow).map(({ stepId, sample, score, recovery, residues }) => [
        stepId,
        sample,
        score,
        recovery,
        residues,
      ]),
      [
        ['a', 7, undefined, undefined, 'GGG'],
        ['b', 1, 0.9, 0.5, 'MKTLLV'],
      ],
    );
  });

  it('are written as one FASTA text', () => {
    assert.equal(toFasta(sequencesOf(workflow)), '>a, sample=7\nGGG\n>sample=1, score=0.9\nMKT\nLLV*\n');
  });
});
