import fc from 'fast-check';
import { SLACK_MS } from './ask.ts';
import { type Conversation, converse } from './conversation.ts';
import { nearRequest } from './near.ts';
import { checkRaw, checkRequest, isLongPoll } from './oracle.ts';
import { type RawInput, rawInput } from './raw.ts';
import { bytesOf, type Request, shown, toRequest } from './request.ts';
import { createValidRequests } from './valid.ts';
import { PATIENCE_MS, type World } from './world.ts';

/** `held`: raw bytes after which the client stays, and says nothing more. */
export const KINDS = ['valid', 'near', 'raw', 'held'] as const;
export type Kind = (typeof KINDS)[number];

/** How long we wait for what need not come yet, in milliseconds. */
export const LONG_POLL_MS = 1_500;

/** What was sent, and what came of it. */
export interface Exchange {
  /** A status for each answer, or a word for what came instead. */
  readonly statuses: readonly (number | string)[];
  /** What was sent, as a person reads it. */
  readonly shown: () => string;
  /** Throws when it is not what the contract promises. */
  readonly check: () => Promise<void>;
}

/** What is generated can be started, and prints as little. */
export type Start = () => Promise<Exchange>;

/** Exchanges of HTTP/1.1, each on a connection of its own. */
export function exchangeOf(world: World, kind: Kind): fc.Arbitrary<Start> {
  const valid = createValidRequests(world);
  const any = fc.oneof(...valid.values());
  if (kind === 'raw' || kind === 'held') {
    const input = rawInput(valid, world);
    return input.map((raw) => () => startRaw(world, raw, kind === 'held'));
  }
  const drafts = kind === 'valid' ? any : nearRequest(any, world);
  return drafts.map((draft) => () => startRequest(world, toRequest(draft, world.sign)));
}

async function startRequest(world: World, request: Request): Promise<Exchange> {
  const bytes = bytesOf(request);
  const talk = await converse({
    place: world,
    packets: [bytes],
    endAfter: 1,
    isBare: () => request.method === 'HEAD',
    boundMs: PATIENCE_MS + SLACK_MS,
    leaveAfterMs: isLongPoll(request) ? LONG_POLL_MS : undefined,
  });
  return { statuses: statusesOf(talk), shown: () => printf(bytes), check: () => checkRequest(request, talk) };
}

async function startRaw(world: World, raw: RawInput, isHeld: boolean): Promise<Exchange> {
  const { packets, pipeline } = raw;
  const talk = await converse({
    place: world,
    packets,
    endAfter: isHeld ? undefined : (pipeline?.length ?? 'quiet'),
    isBare: (index) => (pipeline ? pipeline[index]?.method === 'HEAD' : undefined),
    boundMs: PATIENCE_MS + SLACK_MS,
  });
  const bytes = Buffer.concat(packets);
  return { statuses: statusesOf(talk), shown: () => printf(bytes), check: () => checkRaw(raw, talk) };
}

/** As a shell takes it. */
export function printf(bytes: Buffer): string {
  return `printf '${shown(bytes)}'`;
}

export function statusesOf({ answers, ending }: Conversation): (number | string)[] {
  return answers.length > 0 ? answers.map(({ status }) => status) : [ending];
}
