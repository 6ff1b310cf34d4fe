import fc from 'fast-check';
import { literal } from './request.ts';

/** Texts that programs stumble over. In JSON a lone surrogate is written as its escape. */
export const ODD_TEXTS = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  'x\udfff',
  '\u202e\u2066rtl',
  'e\u0301\u0323\u0334'.repeat(20),
  '\ufeff',
  '\uffff',
  '👩‍👩‍👧‍👦',
  '__proto__',
  'constructor',
  'toString',
  '../../etc/passwd',
  "'; drop table workflows; --",
  '%00',
  '\r\nX-Injected: 1',
  '<script>',
  '=',
  'a=b=c',
];
export const LENGTHS = [1, 63, 64, 65, 127, 128, 129, 199, 200, 201, 255, 256, 257, 512, 513, 1_024, 1_025, 5_000];
/** Numbers as JSON may write them. */
export const NUMBERS = [
  '0',
  '-0',
  '-1',
  '1.5',
  '1e2',
  '1E400',
  '-1e400',
  '1e-400',
  '2147483648',
  '4294967295',
  '4294967296',
  '9007199254740993',
  '18446744073709551616',
  `1${'0'.repeat(400)}`,
  `0.${'0'.repeat(400)}1`,
];

const oddText = fc.oneof(
  fc.constantFrom(...ODD_TEXTS),
  fc.constantFrom(...LENGTHS).map((length) => 'x'.repeat(length)),
  fc.string({ unit: 'binary', maxLength: 20 }),
);
/** Any JSON where something else was meant. */
export const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  oddText,
  fc.constantFrom(...NUMBERS).map(literal),
  fc.constantFrom<unknown>(null, true, false, [], {}, [[]], [null], { '': '' }),
  fc.constantFrom(31, 32, 33, 64, 2_000).map(nested),
  fc.constantFrom(32, 33, 65, 257).map((count) => Array.from({ length: count }, (_, index) => `s${index}`)),
  fc
    .constantFrom(64, 65, 1_000)
    .map((count) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v']))),
);

function nested(depth: number): unknown {
  return literal(
    depth % 2 ? `${'['.repeat(depth)}${']'.repeat(depth)}` : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
  );
}
