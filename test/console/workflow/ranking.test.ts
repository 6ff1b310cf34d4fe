import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ApiFault } from '../../../console/src/api-fault.ts';
import { isLowerBetter, metricsOf } from '../../../console/src/workflow/metrics-of.ts';
import { type RankFields, toFieldFaults, toRankRequest } from '../../../console/src/workflow/rank-query.ts';
import { nextSorting, sortRows } from '../../../console/src/workflow/sort-rows.ts';
import { exampleArtifact, exampleStatus, exampleWorkflow } from './example-workflow.ts';

const FIELDS: RankFields = { metric: 'plddt', order: 'best', filters: [], topK: '' };

describe('toRankRequest', () => {
  it('asks for nothing that was not filled in', () => {
    assert.deepEqual(toRankRequest(FIELDS), { request: { metric: 'plddt' } });
    const filters = [
      { metric: 'pae', min: '', max: ' 10.5 ' },
      { metric: 'ptm', min: '0', max: '' },
    ];
    assert.deepEqual(toRankRequest({ ...FIELDS, order: 'lowest', filters, topK: '5' }), {
      request: {
        metric: 'plddt',
        maximize: false,
        filters: [
          { metric: 'pae', max: 10.5 },
          { metric: 'ptm', min: 0 },
        ],
        top_k: 5,
      },
    });
    const point = toRankRequest({ ...FIELDS, filters: [{ metric: 'pae', min: '1', max: '1' }] });
    assert.ok('request' in point, 'a range may be one value');
    assert.deepEqual(toRankRequest({ ...FIELDS, order: 'highest' }), { request: { metric: 'plddt', maximize: true } });
  });

  it('finds fault with each field by itself', () => {
    const filters = [
      { metric: 'pae', min: 'x', max: '1e999' },
      { metric: 'pae', min: '2', max: '1' },
    ];
    const read = toRankRequest({ ...FIELDS, metric: '', filters, topK: '1.5' });
    assert.ok('faults' in read);
    assert.deepEqual(Object.keys(read.faults).sort(), [
      'filters/0/max',
      'filters/0/min',
      'filters/1/max',
      'metric',
      'top_k',
    ]);
  });
});

describe('toFieldFaults', () => {
  const fault = (errors?: { pointer: string; message: string }[]) =>
    new ApiFault({ status: 400, code: 'INVALID_ARGUMENT', message: 'bad', retryable: false, errors });

  it('puts what the gateway says at the field', () => {
    const faults = toFieldFaults(
      fault([
        { pointer: '/metric', message: 'too short' },
        { pointer: '#/filters/1/min', message: 'must be a number' },
        { pointer: '/filters/1/min', message: 'must be small' },
        { pointer: '/elsewhere', message: 'unknown' },
      ]),
    );
    assert.deepEqual(faults, {
      metric: 'too short',
      'filters/1/min': 'must be a number; must be small',
      '': 'unknown',
    });
  });

  it('loses no message', () => {
    assert.deepEqual(toFieldFaults(fault()), { '': 'bad' });
  });
});

describe('metricsOf', () => {
  const workflow = exampleWorkflow(['a', 'b', 'c'], {
    step_statuses: [
      exampleStatus('a', {
        state: 'SUCCEEDED',
        outputs: [
          exampleArtifact({ metrics: { length: 1, plddt: 2 } }),
          exampleArtifact({ metrics: { length: 1, zeta: 3 } }),
        ],
      }),
      exampleStatus('b', { state: 'SUCCEEDED', sequences: [{ fasta: '', sample_index: 1, global_score: 1 }] }),
      exampleStatus('c', { state: 'RUNNING', outputs: [exampleArtifact({ metrics: { early: 1 } })] }),
    ],
  });

  it('lists what finished steps have, the telling ones first', () => {
    assert.deepEqual(metricsOf(workflow), ['plddt', 'global_score', 'length', 'zeta']);
  });

  it('knows which end is the best, as the server does', () => {
    assert.deepEqual(['pae', 'global_score', 'rmsd', 'plddt', 'constructor'].map(isLowerBetter), [
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('sortRows', () => {
  const values = fc.option(fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constant(Number.NaN)), { nil: undefined });

  it('orders by the column, keeps equal rows in order, and puts what is missing last', () => {
    fc.assert(
      fc.property(fc.array(values), fc.constantFrom('ascending' as const, 'descending' as const), (list, direction) => {
        const rows = list.map((value, index) => ({ value, index }));
        const sorted = sortRows(rows, ({ value }) => value, direction);
        assert.deepEqual(
          [...sorted].sort((a, b) => a.index - b.index),
          rows,
        );
        const missing = (value: number | undefined) => value === undefined || Number.isNaN(value);
        for (const [i, row] of sorted.slice(1).entries()) {
          const before = sorted[i]!;
          if (missing(before.value)) assert.ok(missing(row.value));
          else if (!missing(row.value) && before.value !== row.value) {
            assert.equal(before.value! < row.value!, direction === 'ascending');
          } else if (missing(before.value) === missing(row.value)) assert.ok(before.index < row.index);
        }
      }),
    );
  });

  it('orders texts as people do', () => {
    assert.deepEqual(
      sortRows(['step10', 'step2', 'Step1'], (text) => text, 'ascending'),
      ['Step1', 'step2', 'step10'],
    );
  });

  it('turns around at the second click', () => {
    const first = nextSorting({ column: 'rank', direction: 'ascending' }, 'plddt', 'descending');
    assert.deepEqual(first, { column: 'plddt', direction: 'descending' });
    assert.deepEqual(nextSorting(first, 'plddt', 'descending'), { column: 'plddt', direction: 'ascending' });
  });
});
