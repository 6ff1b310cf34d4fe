import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { labelFault, listPath, readFilter } from '../../../console/src/list/list-query.ts';

describe('the query of the list', () => {
  it('reads what it wrote', () => {
    const label = fc.tuple(fc.string({ minLength: 1, unit: 'grapheme' }), fc.string()).map((both) => both.join('='));
    const filter = fc.record({
      state: fc.constantFrom(undefined, 'RUNNING', 'FAILED'),
      labels: fc.uniqueArray(label, { maxLength: 5 }),
    });
    fc.assert(
      fc.property(filter, ({ state, labels }) => {
        const written = { state, labels };
        const { search } = new URL(listPath(written), 'http://x');
        assert.deepEqual(readFilter(search), written);
      }),
    );
  });

  it('has no query where nothing is asked for', () => {
    assert.equal(listPath({ state: undefined, labels: [] }), '/console/');
    assert.deepEqual(readFilter('?state=&label=a=b&label=a=b'), { state: undefined, labels: ['a=b'] });
  });

  it('refuses labels that the API would refuse', () => {
    assert.equal(labelFault('a=b'), undefined);
    assert.equal(labelFault('a='), undefined);
    assert.equal(labelFault('a=b=c'), undefined);
    assert.match(labelFault('a') ?? '', /key=value/);
    assert.match(labelFault('=b') ?? '', /key=value/);
    assert.match(labelFault('') ?? '', /key=value/);
    assert.match(labelFault(`a=${'b'.repeat(511)}`) ?? '', /512/);
  });
});
