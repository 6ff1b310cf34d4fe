import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { oddValue } from './odd-values.ts';
import type { Mutation } from './request.ts';
import { BODY_LIMIT_BYTES } from './world.ts';

const nameOfMember = fc.constantFrom(
  '__proto__',
  'constructor',
  'extra',
  'name',
  'steps',
  '',
  '\0',
  '\ud800',
  'labels',
  'id',
);

const valueMutation = fc
  .record({
    at: fc.nat(1_000),
    how: fc.constantFrom('replace', 'drop', 'double', 'add'),
    value: oddValue,
    name: nameOfMember,
  })
  .map(({ at, how, value, name }): Mutation => {
    return (draft) => {
      if (draft.json === undefined || draft.bytes) return draft;
      // A copy: the value belongs to the generator.
      const json = structuredClone({ root: draft.json }) as { root: unknown };
      const places = placesIn(json);
      const { parent, key } = places[at % places.length]!;
      const holder = parent as Record<string, unknown>;
      if (how === 'replace') holder[key] = value;
      else if (how === 'drop' && Array.isArray(parent)) parent.splice(Number(key), 1);
      else if (how === 'drop') delete holder[key];
      else if (how === 'double' && Array.isArray(parent)) parent.push(parent[Number(key)]);
      else if (how === 'add' && isObject(holder[key])) setOwn(holder[key], name, value);
      return { ...draft, json: json.root ?? null };
    };
  });

/** What is done with the text of the body. */
const TEXT_CHANGES: readonly ((text: string) => string | Buffer)[] = [
  () => '',
  () => ' ',
  (text) => text.slice(0, -1),
  (text) => `${text}}`,
  (text) => `${text}\0`,
  (text) => `\ufeff${text}`,
  (text) => `${text} ${text}`,
  (text) => text.replace('{', '{"name":"again",'),
  (text) => text.replace('{', '{"__proto__":{"polluted":true},'),
  (text) => text.replace('{', '{"\\u006eame":"again",'),
  (text) => text.replace('}', ',}'),
  (text) => text.replaceAll('"', "'"),
  (text) => text.replace(':', ': /* why */'),
  (text) => text.replace(':', ':\n\n\t '),
  (text) => text.replace('"', '"\u0001'),
  (text) => text.replace('"', '"\\ud800'),
  (text) => text.replace('"', '"\\u0000'),
  (text) => Buffer.from(text, 'utf16le'),
  (text) => gzipSync(text),
  (text) => Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xc0, 0xaf, 0xff])]),
  (text) => Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from(`"${text}`)]),
  () => 'null',
  () => 'NaN',
  () => '[]',
  () => '"text"',
  () => '['.repeat(30_000),
  () => '{"a":'.repeat(10_000),
  () => `[${'0,'.repeat(30_000)}0]`,
  (text) => text.padEnd(BODY_LIMIT_BYTES, ' '),
  (text) => text.padEnd(BODY_LIMIT_BYTES + 1, ' '),
  (text) => text.padEnd(4 * BODY_LIMIT_BYTES, ' '),
];
const textMutation = fc.constantFrom(...TEXT_CHANGES.keys()).map((index): Mutation => {
  return (draft) => {
    const text = draft.bytes?.toString() ?? JSON.stringify(draft.json ?? {});
    return { ...draft, bytes: Buffer.from(TEXT_CHANGES[index]!(text)) };
  };
});
/** Changes what the body says, or how it says it. */
export const bodyMutation = fc.oneof({ weight: 3, arbitrary: valueMutation }, { weight: 1, arbitrary: textMutation });

interface Place {
  readonly parent: object;
  readonly key: string;
}

function placesIn(value: object): Place[] {
  return Object.entries(value).flatMap(([key, member]) => [
    { parent: value, key },
    ...(typeof member === 'object' && member !== null ? placesIn(member) : []),
  ]);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Also `__proto__`, as a member like any other. */
function setOwn(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}
