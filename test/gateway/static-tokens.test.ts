import assert from 'node:assert/strict';
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { describe, it } from 'node:test';
import { hashToken } from '../../src/gateway/access/bearer.ts';
import { createStaticTokens } from '../../src/gateway/access/static-tokens.ts';
import { findSlowOrFast, type TimedCase } from '../support/timing.ts';

/** Long enough for each character to count. */
const LENGTH = 4_096;
const newToken = (length: number) => randomBytes(length / 2).toString('hex');

type CreateCompare = (tokens: readonly string[]) => (token: string) => boolean;

/** As the middleware does it. */
const ours: CreateCompare = (tokens) => {
  const isStaticToken = createStaticTokens(tokens);
  return (token) => isStaticToken(hashToken(token));
};

/** What must not be: three comparisons that tell something. */
const characterByCharacter: CreateCompare = (tokens) => (token) =>
  tokens.some((known) => {
    if (known.length !== token.length) return false;
    for (let index = 0; index < known.length; index++) {
      if (known.charCodeAt(index) !== token.charCodeAt(index)) return false;
    }
    return true;
  });
const byTheLanguage: CreateCompare = (tokens) => (token) => tokens.includes(token);
const untilOneIsFound: CreateCompare = (tokens) => {
  const digestOf = (token: string) => hash('sha256', token, 'buffer');
  const digests = tokens.map(digestOf);
  return (token) => {
    const presented = digestOf(token);
    return digests.some((digest) => timingSafeEqual(digest, presented));
  };
};

interface Presented extends TimedCase {
  readonly isGood: boolean;
}

/** How much of a long token is right; the first is the one that others are compared with. */
function createPresented(createCompare: CreateCompare): Presented[] {
  const [first, second] = [newToken(LENGTH), newToken(LENGTH)];
  const run = createCompare([first, second]);
  const runAmongShort = createCompare([newToken(1_024), newToken(1_024)]);
  const wrong = `x${first.slice(1)}`;
  return [
    { name: 'wrong in the first character', run, input: wrong, isGood: false },
    { name: 'wrong in the last character', run, input: `${first.slice(0, -1)}x`, isGood: false },
    { name: 'right in its first half', run, input: first.slice(0, LENGTH / 2) + newToken(LENGTH / 2), isGood: false },
    { name: 'right', run, input: first, isGood: true },
    { name: 'the second of two', run, input: second, isGood: true },
    { name: 'of another length', run: runAmongShort, input: wrong, isGood: false },
  ];
}

/** Which one of many tokens it is. They are short, so that hashing does not hide what follows. */
function createWhichOfMany(createCompare: CreateCompare): Presented[] {
  const tokens = Array.from({ length: 32 }, () => newToken(64));
  const run = createCompare(tokens);
  return [
    { name: 'none', run, input: newToken(64), isGood: false },
    { name: 'the first of many', run, input: tokens[0]!, isGood: true },
    { name: 'the last of many', run, input: tokens.at(-1)!, isGood: true },
  ];
}

describe('comparing a static token', () => {
  it('tells good from bad', () => {
    for (const createCompare of [ours, characterByCharacter, byTheLanguage, untilOneIsFound]) {
      for (const { name, run, input, isGood } of [
        ...createPresented(createCompare),
        ...createWhichOfMany(createCompare),
      ]) {
        assert.equal(run(input), isGood, name);
      }
    }
  });

  it('takes the same time, however much of it is right', () => {
    assert.deepEqual(findSlowOrFast(createPresented(ours)), []);
  });

  it('takes the same time, whichever it is', () => {
    assert.deepEqual(findSlowOrFast(createWhichOfMany(ours)), []);
  });

  describe('is measured finely enough to find a comparison', () => {
    for (const createCompare of [characterByCharacter, byTheLanguage]) {
      it(`that ends at the first difference: ${createCompare.name}`, () => {
        const found = findSlowOrFast(createPresented(createCompare));
        const expected = ['wrong in the last character', 'right in its first half', 'right', 'the second of two'];
        assert.deepEqual(
          found.filter((name) => name !== 'of another length'),
          expected,
        );
      });
    }

    it('that ends at the token that it finds', () => {
      assert.deepEqual(findSlowOrFast(createWhichOfMany(untilOneIsFound)), ['the first of many']);
    });
  });
});
