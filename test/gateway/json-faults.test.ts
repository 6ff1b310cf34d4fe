import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../src/gateway/errors.ts';
import { readJson, refuseJsonFault } from '../../src/gateway/wire/json-text.ts';

function readStrictJson(text: string): unknown {
  refuseJsonFault(text);
  return readJson(text);
}

/** The pointer and the message that a text is refused with. */
function refusal(text: string): { pointer: string; message: string } {
  try {
    readStrictJson(text);
  } catch (error) {
    assert.ok(error instanceof GatewayError, String(error));
    assert.equal(error.code, 'INVALID_ARGUMENT');
    return error.faults![0]!;
  }
  assert.fail(`accepted: ${text.slice(0, 200)}`);
}

// Names that need escapes in JSON, in pointers or in both, and those that objects in JavaScript have already.
const name = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.constantFrom('', 'a', 'b', 'a/b', '~', '"', '\\', 'constructor', 'prototype', '__proto', '0', '1', 'ü', '🧬'),
);
const text = fc.oneof(name, fc.string({ unit: fc.constantFrom('"', '\\', ',', ':', '{', ']', '\n', 'u', '0') }));
const isSound = (value: string) => value.isWellFormed() && !value.includes('\0');
const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.maxSafeInteger());

const memberName = name.filter((name) => isSound(name) && name !== '__proto__');

type Node = string | number | boolean | null | readonly Node[] | { readonly members: readonly [string, Node][] };

/** A JSON value whose objects are lists of members, so that one can be there twice. */
const { node } = fc.letrec<{ node: Node }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 5 },
    fc.oneof(text.filter(isSound), number, fc.boolean(), fc.constant(null)),
    { weight: 2, arbitrary: fc.array(tie('node'), { minLength: 1, maxLength: 4 }) },
    {
      weight: 2,
      arbitrary: fc
        .uniqueArray(fc.tuple(memberName, tie('node')), { maxLength: 12, selector: ([name]) => name })
        .map((members) => ({ members })),
    },
  ),
}));

/** JSON as nobody writes it: with whitespace and escapes wherever `choices` say so. */
function write(node: Node, choose: (count: number) => number): string {
  const space = () => ['', '', '', ' ', '\t', '\r\n  '][choose(6)]!;
  const writeText = (value: string) => {
    const characters = [...value].map((character) => {
      if (choose(8) > 0) return JSON.stringify(character).slice(1, -1);
      const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at).toString(16));
      return units.map((hex) => `\\u${(choose(2) ? hex : hex.toUpperCase()).padStart(4, '0')}`).join('');
    });
    return `"${characters.join('')}"`;
  };
  const visit = (value: Node): string => {
    if (typeof value === 'string') return space() + writeText(value) + space();
    if (typeof value !== 'object' || value === null) return space() + JSON.stringify(value) + space();
    if ('members' in value) {
      const members = value.members.map(([name, member]) => `${space()}${writeText(name)}${space()}:${visit(member)}`);
      return `${space()}{${members.join() || space()}}${space()}`;
    }
    return `${space()}[${(value as readonly Node[]).map(visit).join() || space()}]${space()}`;
  };
  return visit(node);
}

const spelling = fc.infiniteStream(fc.nat({ max: 5039 })).map((stream) => {
  const choose = (count: number) => stream.next().value! % count;
  return choose;
});

const escaped = (part: string | number) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`;

/** The value with a member or an element that is `planted` in one of its containers, and the pointer to that container. */
function plant(root: Node, position: number, planted: (container: Node) => Node): { node: Node; pointer: string } {
  const places: { pointer: string; replace: (by: Node) => Node; container: Node }[] = [];
  const visit = (value: Node, pointer: string, replace: (by: Node) => Node): void => {
    if (typeof value !== 'object' || value === null) return;
    places.push({ pointer, replace, container: value });
    if ('members' in value) {
      value.members.forEach(([name, member], index) => {
        visit(member, pointer + escaped(name), (by) => replace({ members: value.members.with(index, [name, by]) }));
      });
      return;
    }
    const list = value as readonly Node[];
    list.forEach((element, index) => {
      visit(element, pointer + escaped(index), (by) => replace(list.with(index, by)));
    });
  };
  visit(root, '', (by) => by);
  const { container, pointer, replace } = places[Math.floor(position * places.length)]!;
  return { node: replace(planted(container)), pointer };
}

const root = node.filter((value) => typeof value === 'object' && value !== null);
const position = fc.double({ min: 0, max: 0.999, noNaN: true });

describe('strict JSON', () => {
  it('is what JSON.parse says of any sound text, however it is written', () => {
    fc.assert(
      fc.property(node, spelling, (value, choose) => {
        const written = write(value, choose);
        assert.deepEqual(readStrictJson(written), JSON.parse(written));
      }),
      { numRuns: 300 },
    );
  });

  it('refuses a name that is there twice, at its place, however it is written', () => {
    fc.assert(
      fc.property(root, spelling, position, name.filter(isSound), fc.nat(), (value, choose, where, twice, other) => {
        fc.pre(twice !== '__proto__');
        const { node: planted, pointer } = plant(value, where, (container) => {
          const members: [string, Node][] = [
            [twice, 1],
            [twice, [{ members: [] }]],
          ];
          if (container === null || typeof container !== 'object' || !('members' in container)) return { members };
          const rest = container.members.filter(([name]) => name !== twice);
          const at = other % (rest.length + 1);
          return { members: [members[0]!, ...rest.slice(0, at), members[1]!, ...rest.slice(at)] };
        });
        assert.deepEqual(refusal(write(planted, choose)), {
          pointer: pointer + escaped(twice),
          message: 'is there twice',
        });
      }),
      { numRuns: 300 },
    );
  });

  it('refuses what cannot be carried, at its place', () => {
    const bad = fc.constantFrom<[written: string, message: RegExp]>(
      ['"a\\u0000"', /NUL/],
      ['"\\ud83d"', /lone surrogate/],
      ['"\\ud83dx"', /lone surrogate/],
      ['"\\uDE00\\ud83d"', /lone surrogate/],
      ['"\\ud83d\\ud83d\\ude00"', /lone surrogate/],
      ['1e400', /larger/],
      ['-1E+309', /larger/],
      ['9'.repeat(400), /larger/],
      [`${'9'.repeat(400)}.5`, /larger/],
      ['9007199254740993', /double/],
      ['-18446744073709551615', /double/],
      ['{"__proto__":1}', /name of a member/],
      ['{"\\u005f_proto__":1}', /name of a member/],
      ['{"a\\u0000":1}', /name/],
      ['{"a\\udfff":1}', /name/],
    );
    fc.assert(
      fc.property(root, spelling, position, bad, (value, choose, where, [written, message]) => {
        const mark = '⚑⚑⚑';
        fc.pre(!JSON.stringify(value).includes('⚑'));
        const { node: planted, pointer } = plant(value, where, (container) =>
          container !== null && typeof container === 'object' && 'members' in container
            ? { members: [...container.members.filter(([name]) => name !== 'planted'), ['planted', mark]] }
            : [...(container as readonly Node[]), mark],
        );
        const text = write(planted, choose).replace(/"(?:⚑|\\u2691){3}"/i, () => written);
        const place =
          JSON.stringify(planted).includes('planted') && isObjectAt(planted, pointer)
            ? 'planted'
            : lastIndex(planted, pointer);
        const inside = written.includes('_proto__"') ? '/__proto__' : '';
        const fault = refusal(text);
        assert.equal(fault.pointer, pointer + escaped(place) + inside, text);
        assert.match(fault.message, message);
      }),
      { numRuns: 300 },
    );
  });

  it('takes numbers that come back as they were sent, and only those', () => {
    for (const sent of [
      '9007199254740992',
      '1152921504606847000',
      '1152921504606846976',
      '10000000000000000000000',
      '-0',
    ]) {
      assert.equal(readStrictJson(sent), Number(sent), sent);
    }
    for (const sent of ['0.1', '1e-400', '0.30000000000000004441', '1e308', '123456789012345.6789', '5e-324']) {
      assert.equal(readStrictJson(sent), Number(sent), sent);
    }
    for (const sent of ['9007199254740993', '1152921504606846977', '10000000000000000000001']) {
      assert.match(refusal(`[0,{"seed":${sent}}]`).message, /send it as a string/);
      assert.equal(refusal(`[0,{"seed":${sent}}]`).pointer, '/1/seed');
    }
  });

  it('takes 64 levels and no more, and says where the next one is', () => {
    for (const [open, close, part] of [
      ['[', ']', '/0'],
      ['{"a":', '}', '/a'],
    ] as const) {
      const nest = (levels: number) => `${open.repeat(levels - 1)}[]${close.repeat(levels - 1)}`;
      readStrictJson(nest(64));
      assert.deepEqual(refusal(nest(65)), { pointer: part.repeat(64), message: 'is nested deeper than 64 levels' });
      assert.equal(refusal(nest(100_000)).pointer, part.repeat(64));
    }
  });

  it('takes 50,000 values and names, and no more', () => {
    const list = (count: number) => `[${Array(count).fill('{"a":1}').join()}]`;
    readStrictJson(list(16_666));
    assert.deepEqual(refusal(list(16_667)), { pointer: '', message: 'has more than 50000 values and names' });
  });

  it('says no more of a place than fits in 1,024 characters', () => {
    const [long, short] = ['x'.repeat(100_000), 'y'.repeat(500)];
    assert.equal(refusal(`{"${long}":1,"${long}":2}`).pointer, '');
    assert.equal(refusal(`{"${short}":{"${long}":1e999}}`).pointer, `/${short}`);
  });

  it('never throws anything but a refusal, and never takes what JSON.parse refuses', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        '"',
        ',',
        ':',
        '\\',
        '\\u',
        '\\u0000',
        '\\ud83d',
        'true',
        'nul',
        '-',
        '1',
        'e9',
      ),
      fc.constantFrom(
        ' ',
        '"a"',
        '"a":',
        '"__proto__":',
        '9007199254740993',
        '0',
        '.',
        '1e999',
        '\u0000',
        '\ud800',
        '/',
      ),
    );
    const soup = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(
        fc.oneof(
          soup,
          fc.string(),
          fc.json().map((json) => json.slice(1)),
        ),
        (text) => {
          let value: unknown;
          try {
            value = readStrictJson(text);
          } catch (error) {
            assert.ok(error instanceof GatewayError && error.code === 'INVALID_ARGUMENT', String(error));
            return;
          }
          assert.deepEqual(value, JSON.parse(text));
        },
      ),
      { numRuns: 3000 },
    );
  });
});

function at(node: Node, pointer: string): Node {
  const parts = pointer.split('/').slice(1);
  return parts.reduce((value, part) => {
    const plain = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (value !== null && typeof value === 'object' && 'members' in value) {
      return value.members.find(([name]) => name === plain)![1];
    }
    return (value as readonly Node[])[Number(plain)]!;
  }, node);
}

function isObjectAt(node: Node, pointer: string): boolean {
  const value = at(node, pointer);
  return value !== null && typeof value === 'object' && 'members' in value;
}

function lastIndex(node: Node, pointer: string): number {
  return (at(node, pointer) as readonly Node[]).length - 1;
}
