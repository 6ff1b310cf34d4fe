import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mintToken, tokenChecksum } from '../../src/shared/checksummed-token.ts';

describe('a checksummed token', () => {
  it('has its form, and is new each time', () => {
    const tokens = Array.from({ length: 200 }, () => mintToken('ffk'));
    for (const token of tokens) {
      assert.match(token, /^ffk_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
      assert.equal(tokenChecksum(token, 'ffk'), 'valid');
    }
    assert.equal(new Set(tokens).size, tokens.length);
  });

  it('uses every digit', () => {
    const digits = new Set(Array.from({ length: 200 }, () => mintToken('x').split('_')[1]).join(''));
    assert.equal(digits.size, 62);
  });

  it('has the checksum that others compute', () => {
    // The textbook algorithm, bit by bit.
    const body = `ffk_${'0'.repeat(43)}`;
    let crc = 0xffffffff;
    for (const byte of Buffer.from(body)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
    let digits = '';
    for (let rest = BigInt((crc ^ 0xffffffff) >>> 0), place = 0; place < 6; place++, rest /= 62n) {
      digits = alphabet[Number(rest % 62n)] + digits;
    }
    assert.equal(tokenChecksum(`${body}_${digits}`, 'ffk'), 'valid');
  });

  it('is invalid when one character is wrong', () => {
    const token = mintToken('ffk');
    for (let index = 4; index < token.length; index++) {
      if (token[index] === '_') continue;
      const wrong = token.slice(0, index) + (token[index] === 'a' ? 'b' : 'a') + token.slice(index + 1);
      assert.equal(tokenChecksum(wrong, 'ffk'), 'invalid', wrong);
    }
  });

  it('is none of ours in any other form', () => {
    const token = mintToken('ffk');
    const others = [
      '',
      'dev-token',
      `${token}x`,
      token.slice(0, -1),
      ` ${token}`,
      `${token}\n`,
      token.replace('_', '-'),
    ];
    for (const other of others) assert.equal(tokenChecksum(other, 'ffk'), 'none', other);
    assert.equal(tokenChecksum(token, 'ff'), 'none');
    assert.equal(tokenChecksum(mintToken('other'), 'ffk'), 'none');
  });
});
