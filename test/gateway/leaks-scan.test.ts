import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { tokenChecksum } from '../../src/shared/checksummed-token.ts';
import { createCanaries, NOWHERE } from '../support/canaries.ts';

const bytes = (text: string) => Buffer.from(text);
const eachCharacter = (text: string, change: (code: number) => string) =>
  [...text].map((character) => change(character.charCodeAt(0))).join('');

/** Where a secret hides from those who look for it as it is. */
const HIDING_PLACES: Readonly<Record<string, (secret: string) => string>> = {
  'plain text': (secret) => `token=${secret};`,
  'capital letters': (secret) => secret.toUpperCase(),
  hex: (secret) => bytes(secret).toString('hex'),
  'Basic credentials': (secret) => `Basic ${bytes(`u:${secret}`).toString('base64')}`,
  'Basic credentials of a longer name': (secret) => `Basic ${bytes(`us:${secret}`).toString('base64')}`,
  'base64url next to other letters': (secret) => `x_${bytes(`use:${secret}`).toString('base64url')}y`,
  'base64 in lines': (secret) => bytes(`u:${secret}`).toString('base64').replaceAll(/.{20}/g, '$&\r\n'),
  'JSON in base64': (secret) => bytes(JSON.stringify([1, 'w', { secret }])).toString('base64url'),
  'base64 in base64': (secret) => bytes(bytes(`u:${secret}`).toString('base64')).toString('base64'),
  'hex in base64': (secret) => bytes(bytes(secret).toString('hex')).toString('base64'),
  'a URL': (secret) => eachCharacter(secret, (code) => `%${code.toString(16)}`),
  'escapes of JSON': (secret) => eachCharacter(secret, (code) => `\\u${code.toString(16).padStart(4, '0')}`),
  'JSON in JSON': (secret) => JSON.stringify({ body: JSON.stringify({ secret }) }),
  'a folded header': (secret) => secret.replaceAll(/.{5}/g, '$&\r\n '),
  'a list of letters': (secret) => JSON.stringify([...secret]),
  'a buffer as JSON': (secret) => JSON.stringify(bytes(secret)),
  'a buffer that is printed': (secret) => inspect(bytes(secret)),
  'its first part': (secret) => secret.slice(0, 16),
  'its last part': (secret) => secret.slice(-22),
};

describe('the look for leaks', () => {
  for (const [what, hide] of Object.entries(HIDING_PLACES)) {
    it(`finds a key as ${what}`, () => {
      const canaries = createCanaries();
      const key = canaries.plantKey('a key', NOWHERE);
      assert.equal(tokenChecksum(key, 'ffk'), 'valid');
      canaries.checkLeaks();
      canaries.scan('log', `before ${hide(key)} after`);
      assert.throws(() => canaries.checkLeaks(), /leaks into log/);
    });
  }

  it('finds the hash of a key in each of its forms', () => {
    const forms = ['hex', 'base64', 'base64url'] as const;
    for (const form of forms) {
      const canaries = createCanaries();
      canaries.watchHash('a key', 'abc', NOWHERE);
      const hash = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
      canaries.scan('header', bytes(`["${Buffer.from(hash, 'hex').toString(form)}"]`).toString('base64'));
      assert.throws(() => canaries.checkLeaks(), /the hash of a key leaks into header/, form);
    }
  });

  it('lets a canary be where it may, and wants it where it must', () => {
    const canaries = createCanaries();
    const value = canaries.plant('a value', { may: ['header'], must: ['body'] });
    canaries.scan('header', value);
    canaries.checkLeaks();
    assert.throws(() => canaries.checkSightings(/./), /a value is not in body/);
    canaries.scan('body', value);
    canaries.checkSightings(/./);
    canaries.checkLeaks();
    canaries.scan('metrics', value);
    assert.throws(() => canaries.checkLeaks(), /a value leaks into metrics/);
  });
});
