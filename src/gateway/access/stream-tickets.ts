import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Caller } from '../context.ts';
import { unauthenticated } from './bearer.ts';

/** How long a ticket can be redeemed, in milliseconds. */
const TICKET_TTL_MS = 60_000;
export const TICKET_PREFIX = 'fft_';
const TICKET = /^fft_([A-Za-z0-9_-]{1,4096})\.([A-Za-z0-9_-]{43})$/;

type Payload = readonly [
  version: 1,
  workflowId: string,
  expiresAtMs: number,
  principal: string | null,
  keyHash: string | null,
];

export interface StreamTicket {
  readonly ticket: string;
  readonly expiresAtMs: number;
}

export type StreamTickets = ReturnType<typeof createStreamTickets>;

/**
 * Stateless passes for one workflow's event stream: `fft_<base64url of the sealed payload>.<base64url of its HMAC-SHA-256>`
 * (RFC 2104). The first secret signs, every one of them is accepted, so that they can be rotated; without any, tickets are
 * only good in this process. A ticket says who its caller is, but to nobody else: it travels in URLs, and a key of an older
 * form could be guessed from its hash. The caller's key has still to be looked up.
 */
export function createStreamTickets(secrets: readonly string[], now: () => number = Date.now) {
  const keys = secrets.length > 0 ? secrets.map((secret) => Buffer.from(secret)) : [randomBytes(32)];

  return {
    mint(workflowId: string, { principal, keyHash }: Caller): StreamTicket {
      const expiresAtMs = now() + TICKET_TTL_MS;
      const payload: Payload = [1, workflowId, expiresAtMs, principal ?? null, keyHash ?? null];
      const encoded = seal(keys[0]!, JSON.stringify(payload));
      return { ticket: `${TICKET_PREFIX}${encoded}.${sign(keys[0]!, encoded).toString('base64url')}`, expiresAtMs };
    },

    /** The caller whom a ticket for this workflow was made for. Throws UNAUTHENTICATED. */
    redeem(ticket: string, workflowId: string): Caller {
      const [, encoded = '', signature = ''] = TICKET.exec(ticket) ?? [];
      const presented = Buffer.from(signature, 'base64url');
      const signer = keys.find((key) => {
        const expected = sign(key, encoded);
        return expected.length === presented.length && timingSafeEqual(expected, presented);
      });
      if (!signer) throw unauthenticated('the stream ticket is not valid');
      const [, forId, expiresAtMs, principal, keyHash] = JSON.parse(unseal(signer, encoded)) as Payload;
      if (forId !== workflowId) throw unauthenticated('the stream ticket is for another workflow');
      if (now() >= expiresAtMs) throw unauthenticated('the stream ticket has run out; ask for a new one');
      return { ...(principal !== null && { principal }), ...(keyHash !== null && { keyHash }) };
    },
  };
}

// The prefix keeps a signature from being one of anything else that the same secret may sign one day.
function sign(key: Buffer, encoded: string): Buffer {
  return createHmac('sha256', key).update(`stream-ticket.2.${encoded}`).digest();
}

// What it is sealed with is signed afterwards, so the cipher need not notice changes.
const CIPHER = 'aes-256-ctr';
const IV_BYTES = 16;

function seal(key: Buffer, text: string): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, sealingKey(key), iv);
  return Buffer.concat([iv, cipher.update(text), cipher.final()]).toString('base64url');
}

function unseal(key: Buffer, encoded: string): string {
  const bytes = Buffer.from(encoded, 'base64url');
  const decipher = createDecipheriv(CIPHER, sealingKey(key), bytes.subarray(0, IV_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES)), decipher.final()]).toString();
}

function sealingKey(key: Buffer): Buffer {
  return createHmac('sha256', key).update('stream-ticket.2 seal').digest();
}
