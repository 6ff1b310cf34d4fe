import { randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM_DIGITS = 43;
const CHECKSUM_DIGITS = 6;
const FORM = new RegExp(`^([0-9A-Za-z]+)_[0-9A-Za-z]{${RANDOM_DIGITS}}_[0-9A-Za-z]{${CHECKSUM_DIGITS}}$`);

/** A new secret `<prefix>_<43 random base62 digits>_<checksum>`, with at least 256 bits of chance in it. */
export function mintToken(prefix: string): string {
  const random = Array.from({ length: RANDOM_DIGITS }, () => DIGITS[randomInt(DIGITS.length)]).join('');
  return `${prefix}_${random}_${checksum(`${prefix}_${random}`)}`;
}

/**
 * Tells a mistyped token from a foreign one without asking anybody: `none` when the text has not the form of
 * `mintToken(prefix)`, `invalid` when only its checksum is wrong. Says nothing about whether the token is known.
 */
export function tokenChecksum(token: string, prefix: string): 'valid' | 'invalid' | 'none' {
  if (FORM.exec(token)?.[1] !== prefix) return 'none';
  const end = token.lastIndexOf('_');
  return token.slice(end + 1) === checksum(token.slice(0, end)) ? 'valid' : 'invalid';
}

/** CRC-32 of the text, as six base62 digits. */
function checksum(text: string): string {
  let digits = '';
  for (let rest = crc32(text); rest > 0; rest = Math.floor(rest / DIGITS.length)) {
    digits = DIGITS[rest % DIGITS.length] + digits;
  }
  return digits.padStart(CHECKSUM_DIGITS, '0');
}
