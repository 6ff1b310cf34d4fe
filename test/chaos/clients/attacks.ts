import { churn, pipelining } from './attacks/connections.ts';
import { IDLE_CONNECTIONS, idle } from './attacks/idle.ts';
import { junkKeys, manyStreams, oneKey } from './attacks/keys.ts';
import { malformed } from './attacks/malformed.ts';
import { oversized } from './attacks/oversized.ts';
import { slowBodies, slowHeaders, slowStrangers } from './attacks/slow.ts';
import { slowReaders } from './attacks/slow-readers.ts';
import { tinyChunks } from './attacks/tiny-chunks.ts';
import type { Field } from './field.ts';
import type { Tally } from './tally.ts';

export interface Attack {
  readonly begin: (field: Field) => void;
  /** From how many addresses it comes. */
  readonly addresses: number;
  /** Says why what came of it in so many seconds proves nothing, if that is so. */
  readonly doubt: (tally: Tally, seconds: number) => string | undefined;
}

/** CONNECTIONS_MAX_PER_ADDRESS, unless it is set; and a few that are just being refused. */
const PER_ADDRESS = 2_000;
const BEING_REFUSED = 200;

const opens = (least: number) => (tally: Tally, seconds: number) =>
  tally.opened < Math.min(least, 100 * seconds) ? `only ${tally.opened} connections were opened` : undefined;
const sends = (perSecond: number) => (tally: Tally, seconds: number) =>
  tally.sent < perSecond * seconds ? `only ${tally.sent} requests were sent` : undefined;

function isCapped({ held, closed }: Tally): string | undefined {
  if (held > PER_ADDRESS + BEING_REFUSED) return `one address holds ${held} connections`;
  return closed === 0 ? 'no connection was refused' : undefined;
}

/** By name, in the order in which they are made. */
export const ATTACKS: Readonly<Record<string, Attack>> = {
  'slow-headers': { begin: slowHeaders, addresses: 4, doubt: opens(600) },
  'slow-bodies': { begin: slowBodies, addresses: 4, doubt: opens(600) },
  'slow-strangers': { begin: slowStrangers, addresses: 4, doubt: opens(600) },
  'slow-readers': { begin: slowReaders, addresses: 4, doubt: opens(300) },
  'idle-10000': {
    begin: idle,
    addresses: 10,
    // Some are closed meanwhile for being silent, and opened again.
    doubt: ({ held }) => (held < IDLE_CONNECTIONS * 0.9 ? `only ${held} connections were open at the end` : undefined),
  },
  'idle-one-address': { begin: idle, addresses: 1, doubt: isCapped },
  'junk-keys': { begin: junkKeys, addresses: 8, doubt: sends(200) },
  malformed: { begin: malformed, addresses: 8, doubt: sends(200) },
  oversized: { begin: oversized, addresses: 8, doubt: sends(10) },
  'tiny-chunks': { begin: tinyChunks, addresses: 8, doubt: sends(20) },
  churn: { begin: churn, addresses: 16, doubt: opens(5_000) },
  pipelining: { begin: pipelining, addresses: 8, doubt: sends(500) },
  'one-key': { begin: oneKey, addresses: 8, doubt: sends(100) },
  'many-streams': { begin: manyStreams, addresses: 4, doubt: opens(1_500) },
};
