import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type PageRequest, pageOf } from '../../src/embedded/object-store/listing.ts';
import type { ObjectInfo } from '../../src/embedded/object-store/object-file.ts';

const WHOLE: PageRequest = { prefix: '', delimiter: '', maxKeys: 1000, startAfter: '', previous: undefined };

function objects(keys: readonly string[]): ObjectInfo[] {
  return keys.map((key) => ({ key, sizeBytes: 0, etag: '""', modifiedMs: 0, headers: {}, checksums: {} }));
}

/** All pages, one after another, as "object" and "prefix/" names in their order. */
function walk(keys: readonly string[], request: Partial<PageRequest>): string[] {
  const names: string[] = [];
  let previous: string | undefined;
  for (let pages = 0; pages <= keys.length; pages += 1) {
    const page = pageOf(objects(keys), { ...WHOLE, ...request, previous });
    names.push(...[...page.objects.map(({ key }) => key), ...page.commonPrefixes].sort(byBytes));
    if (page.last === undefined) return names;
    previous = page.last;
  }
  throw new Error('the pages do not end');
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

test('orders keys by their UTF-8 bytes', () => {
  assert.deepEqual(walk(['\u{1f600}', '\uff5e', 'b', 'a', 'B'], {}), ['B', 'a', 'b', '\uff5e', '\u{1f600}']);
});

test('folds keys at the delimiter', () => {
  const keys = ['readme', 'w1/a/1', 'w1/b', 'w2/a', 'w2/b', 'x'];
  assert.deepEqual(walk(keys, { delimiter: '/' }), ['readme', 'w1/', 'w2/', 'x']);
  assert.deepEqual(walk(keys, { delimiter: '/', prefix: 'w1/' }), ['w1/a/', 'w1/b']);
  assert.deepEqual(walk(keys, { delimiter: '/', startAfter: 'w1/b' }), ['w2/', 'x']);
  assert.deepEqual(walk(keys, { delimiter: '/', startAfter: 'w1/a/1' }), ['w1/', 'w2/', 'x']);
});

test('a page of no keys is not the beginning of more', () => {
  assert.deepEqual(pageOf(objects(['a']), { ...WHOLE, maxKeys: 0 }), {
    objects: [],
    commonPrefixes: [],
    last: undefined,
  });
});

test('pages of any size add up to the whole, each name once and in order', () => {
  const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'é', '\u{1f600}'), minLength: 1, maxLength: 5 });
  const keys = fc.uniqueArray(key, { maxLength: 20 });
  const delimiter = fc.constantFrom('', '/', 'a/');
  fc.assert(
    fc.property(
      keys,
      delimiter,
      fc.constantFrom('', 'a', '/'),
      fc.integer({ min: 1, max: 5 }),
      (all, cut, prefix, maxKeys) => {
        const names = walk(all, { delimiter: cut, prefix, maxKeys });
        const expected = all
          .filter((name) => name.startsWith(prefix))
          .map((name) => {
            const at = cut === '' ? -1 : name.indexOf(cut, prefix.length);
            return at < 0 ? name : name.slice(0, at + cut.length);
          });
        assert.deepEqual(names, [...new Set(expected)].sort(byBytes));
      },
    ),
  );
});
