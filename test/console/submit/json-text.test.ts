import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type JsonNode, parseJsonText } from '../../../console/src/submit/json-text.ts';

/** The value again, from where each part of it stands. */
function readBack(text: string, node: JsonNode): unknown {
  if (node.items) return node.items.map((item) => readBack(text, item));
  if (!node.members) return JSON.parse(text.slice(node.start, node.end));
  const entries = [...node.members].map(([name, { key, value }]) => {
    assert.equal(JSON.parse(text.slice(key.start, key.end)), name);
    return [name, readBack(text, value)];
  });
  return Object.fromEntries(entries);
}

function parsesNatively(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('parseJsonText', () => {
  it('knows where every value stands', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.constantFrom(0, 1, 2, '\t'), (json, indent) => {
        const text = `\n ${JSON.stringify(JSON.parse(json), null, indent)}\r\n`;
        assert.deepEqual(readBack(text, parseJsonText(text)), JSON.parse(text));
      }),
    );
  });

  it('takes exactly what JSON.parse takes', () => {
    const part = fc.constantFrom(
      ...'{}[],:"\\tnu0123.eE+- \n',
      'true',
      'false',
      'null',
      '"a"',
      '\\u00e9',
      '\u0001',
      'é',
    );
    const broken = fc.tuple(fc.json({ maxDepth: 2 }), fc.nat(), fc.nat(3), part).map(([json, at, length, other]) => {
      const start = at % (json.length + 1);
      return json.slice(0, start) + other + json.slice(start + length);
    });
    const noise = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(broken, noise), (text) => {
        if (parsesNatively(text)) parseJsonText(text);
        else assert.throws(() => parseJsonText(text), { name: 'JsonFault' });
      }),
      { numRuns: 2_000 },
    );
  });

  it('says what is wrong, where it is', () => {
    const cases = [
      ['', 0, /^The text ends where a value should be\.$/],
      ['{', 1, /ends where a name in double quotes/],
      ['{"a" 1}', 5, /^Expected a colon, but there is "1"\.$/],
      ['{"a":1,}', 7, /^Expected a name in double quotes, but there is "}"\.$/],
      ["{'a':1}", 1, /double quotes, but there is "'"/],
      ['[1 2]', 3, /^Expected a comma or \], but there is "2"\.$/],
      ['[1,]', 3, /^Expected a value, but there is "\]"\.$/],
      ['{"a":1 "b":2}', 7, /^Expected a comma or }, but there is a double quote\.$/],
      ['[1] 2', 4, /end of the text/],
      ['["abc\n"]', 1, /^This string has no end\.$/],
      ['["abc', 1, /^This string has no end\.$/],
      ['["a\\x"]', 3, /^A backslash must begin/],
      ['["a\tb"]', 3, /^A control character/],
      ['[01]', 2, /comma or \]/],
      ['[tru]', 1, /^Expected a value, but there is "t"\.$/],
      ['[😀]', 1, /there is "😀"/],
    ] as const;
    for (const [text, offset, message] of cases) {
      assert.throws(() => parseJsonText(text), { name: 'JsonFault', offset, message }, text);
    }
  });

  it('refuses what is nested deeper than any stack, and reads a large text at once', () => {
    assert.throws(() => parseJsonText('['.repeat(1_000_000)), { offset: 501, message: /500 levels/ });
    const text = JSON.stringify(Array.from({ length: 20_000 }, (_, index) => ({ id: `step-${index}`, value: index })));
    assert.equal(parseJsonText(text).items?.length, 20_000);
  });
});
