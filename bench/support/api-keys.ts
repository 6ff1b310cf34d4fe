import { hash, randomBytes } from 'node:crypto';
import { mintToken, tokenChecksum } from '../../src/shared/checksummed-token.ts';

const PREFIX = 'ffk';

export function mintKeys(count: number): string[] {
  return Array.from({ length: count }, () => mintToken(PREFIX));
}

/** What the gateway asks the orchestrator for instead of the key itself: lower-case hex SHA-256. */
export function hashKey(key: string): string {
  return hash('sha256', key);
}

/** Keys that differ from ones of ours in their last character alone, so that nobody can have been given them. */
export function spoilKeys(keys: readonly string[]): string[] {
  return keys.map((key) => {
    const spoiled = key.slice(0, -1) + (key.endsWith('0') ? '1' : '0');
    if (tokenChecksum(spoiled, PREFIX) !== 'invalid') throw new Error('a spoiled key must have a wrong checksum');
    return spoiled;
  });
}

/** Tokens that say nothing about where they come from. */
export function mintOpaqueTokens(count: number): string[] {
  return Array.from({ length: count }, () => randomBytes(24).toString('base64url'));
}
