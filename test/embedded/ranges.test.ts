import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readRange } from '../../src/embedded/object-store/ranges.ts';

test('reads the three forms of a single range', () => {
  assert.deepEqual(readRange('bytes=0-4', 10), { start: 0, end: 4 });
  assert.deepEqual(readRange('bytes=4-', 10), { start: 4, end: 9 });
  assert.deepEqual(readRange('bytes=-3', 10), { start: 7, end: 9 });
  assert.deepEqual(readRange('BYTES=9-9', 10), { start: 9, end: 9 });
});

test('cuts a range that reaches beyond the end', () => {
  assert.deepEqual(readRange('bytes=4-999999999999', 10), { start: 4, end: 9 });
  assert.deepEqual(readRange('bytes=-11', 10), { start: 0, end: 9 });
});

test('tells what cannot be satisfied', () => {
  for (const header of ['bytes=10-', 'bytes=10-20', 'bytes=-0'])
    assert.equal(readRange(header, 10), 'unsatisfiable', header);
  for (const header of ['bytes=0-', 'bytes=0-0', 'bytes=-1'])
    assert.equal(readRange(header, 0), 'unsatisfiable', header);
});

test('leaves out what may be ignored: no header, other units, several ranges, ends before starts', () => {
  const headers = ['', 'items=0-4', 'bytes=0-1,3-4', 'bytes=4-3', 'bytes=-', 'bytes=a-b', 'bytes 0-4', 'bytes=1-2-3'];
  for (const header of [undefined, ...headers]) assert.equal(readRange(header, 10), undefined, header);
});

test('a range holds the bytes that slicing would give', () => {
  const bound = fc.option(fc.nat(40), { nil: '' as const });
  fc.assert(
    fc.property(fc.nat(30), bound, bound, (sizeBytes, first, last) => {
      const all = Array.from({ length: sizeBytes }, (_, index) => index);
      const range = readRange(`bytes=${first}-${last}`, sizeBytes);
      if (range === undefined) return (first === '' && last === '') || (first !== '' && last !== '' && first > last);
      const wanted =
        first === '' ? all.slice(-last || all.length) : all.slice(first, last === '' ? undefined : last + 1);
      const given = range === 'unsatisfiable' ? [] : all.slice(range.start, range.end + 1);
      assert.deepEqual(given, wanted);
      return true;
    }),
  );
});
