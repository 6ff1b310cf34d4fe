import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseJsonText } from '../../../console/src/submit/json-text.ts';
import { locatePointer, locateSteps } from '../../../console/src/submit/locate-pointer.ts';

/** What of the text the pointer means. */
function pick(text: string, pointer: string): string | undefined {
  const span = locatePointer(parseJsonText(text), pointer);
  return span && text.slice(span.start, span.end);
}

describe('locatePointer', () => {
  const TEXT = '{ "name": "x", "steps": [ { "id": "a", "tool" : "foo" }, 7 ], "a/b": 1, "m~n": [2], "": 3, "é": 4 }';

  it('finds members with their names, and items', () => {
    assert.equal(pick(TEXT, '/name'), '"name": "x"');
    assert.equal(pick(TEXT, '/steps/0/tool'), '"tool" : "foo"');
    assert.equal(pick(TEXT, '/steps/1'), '7');
    assert.equal(pick(TEXT, '/'), '"": 3');
    assert.equal(pick(TEXT, '/é'), '"é": 4');
  });

  it('finds the name, or the opening, of what has parts', () => {
    assert.equal(pick(TEXT, '/steps'), '"steps"');
    assert.equal(pick(TEXT, '/steps/0'), '{');
    assert.equal(pick(TEXT, ''), '{');
    assert.equal(pick('7', ''), '7');
  });

  it('reads the escapes of RFC 6901, section 4', () => {
    assert.equal(pick(TEXT, '/a~1b'), '"a/b": 1');
    assert.equal(pick(TEXT, '/m~0n/0'), '2');
    assert.equal(pick('{"~1":1,"/":2}', '/~01'), '"~1":1');
    assert.equal(pick('{"~1":1,"/":2}', '/~1'), '"/":2');
  });

  it('finds what something that is not there should be in', () => {
    assert.equal(pick(TEXT, '/steps/0/params/x'), '{');
    assert.equal(pick(TEXT, '/steps/5/id'), '"steps"');
    assert.equal(pick(TEXT, '/steps/01'), '"steps"');
    assert.equal(pick(TEXT, '/steps/-'), '"steps"');
    assert.equal(pick(TEXT, '/labels'), '{');
    assert.equal(pick(TEXT, '/name/x'), '"name": "x"');
  });

  it('takes the last of members with one name, as JSON.parse does', () => {
    assert.equal(pick('{"a":1,"a":{"b":2}}', '/a/b'), '"b":2');
  });

  it('knows escapes in names', () => {
    assert.equal(pick('{"\\u0061\\n":1}', '/a\n'), '"\\u0061\\n":1');
  });

  it('knows what is no place in the body', () => {
    for (const pointer of ['#/query/page_size', '#/header/idempotency-key', 'name']) {
      assert.equal(pick(TEXT, pointer), undefined);
    }
  });

  it('finds every value of every document', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const text = JSON.stringify(value, null, 2);
        for (const { pointer, leaf } of listLeaves(JSON.parse(text))) {
          assert.ok(pick(text, pointer)?.endsWith(JSON.stringify(leaf)), `${pointer} of ${text}`);
        }
      }),
    );
  });
});

function listLeaves(value: unknown, pointer = ''): { pointer: string; leaf: unknown }[] {
  if (typeof value !== 'object' || value === null) return [{ pointer, leaf: value }];
  return Object.entries(value).flatMap(([name, inner]) =>
    listLeaves(inner, `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  );
}

describe('locateSteps', () => {
  const TEXT = '{"steps":[{"id":"a"},{"id":"b","depends_on":["a"]},{"id":"a"},{},7]}';
  const named = (message: string, text = TEXT) =>
    locateSteps(parseJsonText(text), message).map(({ start, end }) => text.slice(start, end));

  it('finds the steps that a message of the engine names', () => {
    assert.deepEqual(named('step "b" depends on "c", which is no step of this workflow'), ['"id":"b"']);
    assert.deepEqual(named('two steps have the id "a"'), ['"id":"a"', '"id":"a"']);
    assert.deepEqual(named('the workflow needs a name'), []);
    assert.deepEqual(named('"a"', '7'), []);
  });
});
