import fc from 'fast-check';
import { type Fields, PREFACE, readFrame } from '../../support/h2-frames.ts';
import { SLACK_MS } from '../ask.ts';
import { type Kind, LONG_POLL_MS, printf, type Start, statusesOf } from '../exchange.ts';
import { nearRequest } from '../near.ts';
import { isLongPoll } from '../oracle.ts';
import { toRequest } from '../request.ts';
import { createValidRequests } from '../valid.ts';
import { PATIENCE_MS, type World } from '../world.ts';
import { bend } from './bent-fields.ts';
import { checkFrames } from './check-frames.ts';
import { checkStream } from './check-stream.ts';
import { converseInFrames } from './conversation.ts';
import { fieldsOf, judge } from './fields.ts';
import { type FramesInput, framesInput } from './raw.ts';
import type { Sessions } from './sessions.ts';

/** Connections that are shared at the same time. */
const SLOTS = 3;
/** One request in so many has a connection of its own. */
const OWN_SHARE = 10;
/** Of frames that are shown. */
const MAX_LINES = 30;
/**
 * A connection may be waited for in turn: for a body, for what is not taken, for the next request, and for a client that
 * does not hang up; in milliseconds.
 */
const FRAMES_BOUND_MS = 3 * PATIENCE_MS + 2 * SLACK_MS;

/** Exchanges of HTTP/2: requests over `sessions`, and frames on connections of their own. */
export function h2ExchangeOf(world: World, kind: Kind, sessions: Sessions): fc.Arbitrary<Start> {
  const valid = createValidRequests(world);
  if (kind === 'raw' || kind === 'held') return frameExchangeOf(world, valid, kind === 'held');
  const any = fc.oneof(...valid.values());
  const same = fc.constant((fields: Fields) => fields);
  const slot = fc.nat(SLOTS * OWN_SHARE - 1).map((place) => (place < SLOTS ? ('own' as const) : place % SLOTS));
  return fc
    .record({
      draft: kind === 'valid' ? any : fc.oneof(nearRequest(any, world), any),
      slot,
      change: kind === 'valid' ? same : fc.oneof(same, bend),
    })
    .map(({ draft, slot, change }) => async () => {
      const request = toRequest(kind === 'near' ? { ...draft, promised: undefined } : draft, world.sign);
      const fields = change(fieldsOf(request));
      const asked = {
        fields,
        body: request.body,
        boundMs: PATIENCE_MS + SLACK_MS,
        leaveAfterMs: isLongPoll(request) ? LONG_POLL_MS : undefined,
      };
      // What may cost a connection must not take others' requests with it.
      const talk = await sessions.request(judge(fields, request.body.length) === 'fatal' ? 'own' : slot, asked);
      const { answers, resetCode } = talk;
      return {
        statuses: answers.length === 0 && resetCode !== undefined ? [`reset ${resetCode}`] : statusesOf(talk),
        shown: () => `${shownFields(fields)}${printf(request.body)}`,
        check: () => checkStream(request, fields, talk),
      };
    });
}

function frameExchangeOf(
  world: World,
  valid: ReturnType<typeof createValidRequests>,
  isHeld: boolean,
): fc.Arbitrary<Start> {
  return framesInput(valid, world, isHeld).map((input) => async () => {
    const talk = await converseInFrames(world, input, { boundMs: FRAMES_BOUND_MS, isHeld });
    const statuses = [...talk.streams.values()].map(({ status, resetCode }) => status ?? `reset ${resetCode}`);
    const ending = talk.goAway ? `goaway ${talk.goAway.code}` : talk.ending;
    return {
      statuses: statuses.length > 0 ? statuses : [ending],
      shown: () => `${shownFrames(input)}${printf(Buffer.concat(input.packets))}`,
      check: () => checkFrames(input, talk),
    };
  });
}

function shownFields(fields: Fields): string {
  return fields.map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value.slice(0, 300))}\n`).join('');
}

/** As far as they can be read; of many alike, one. */
function shownFrames({ packets, isStubborn, isPlain }: FramesInput): string {
  const bytes = Buffer.concat(packets);
  const lines: string[] = [];
  for (let next = readFrame(bytes, PREFACE.length); next; next = readFrame(bytes, next.end)) {
    const { type, flags, streamId, payload } = next.frame;
    const line = `frame ${type}, flags ${flags}, stream ${streamId}, ${payload.length} bytes\n`;
    if (line !== lines.at(-1)) lines.push(line);
  }
  const manner = `${isPlain ? 'without TLS' : 'over TLS'}${isStubborn ? ', and does not hang up' : ''}\n`;
  return manner + lines.slice(0, MAX_LINES).join('');
}
