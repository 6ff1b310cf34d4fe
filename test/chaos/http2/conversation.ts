import fc from 'fast-check';
import {
  continuation,
  data,
  type Fields,
  frame,
  headerBlock,
  headers,
  ping,
  settings,
  windowUpdate,
} from '../../support/h2-frames.ts';
import { HEAD, message, type RawCall, TAIL } from '../../support/raw-grpc.ts';

/** How a server answers one call, within the rules. */
export interface AnswerPlan {
  /** Whether the call takes a stream of messages; else one alone is good. */
  readonly isStream: boolean;
  readonly messages: number;
  /** How many letters each message has besides the name of the call. */
  readonly size: number;
  /** Bytes in a DATA frame. */
  readonly frameBytes: number;
  readonly pad: number | undefined;
  /** Header blocks go on in CONTINUATION. */
  readonly isSplit: boolean;
  readonly isInterim: boolean;
  readonly status: number;
}

/** What else a server says while it answers. */
const CHATTER: readonly Buffer[] = [
  ping(Buffer.from('chatter.')),
  settings([[0x3, 200]]),
  settings([[0x4, 100_000]]),
  windowUpdate(0, 1_000),
  frame(0xee, 0, 0, Buffer.from('unknown')),
];

export interface ConversationPlan {
  readonly answers: readonly AnswerPlan[];
  /** Whose frame is next, as often as there are frames: the answers that are left take turns by it. */
  readonly turns: readonly number[];
  readonly chatter: readonly number[];
}

const answerPlan: fc.Arbitrary<AnswerPlan> = fc.record({
  isStream: fc.nat(3).map((choice) => choice === 0),
  messages: fc.oneof({ weight: 8, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(3) }),
  size: fc.oneof({ weight: 6, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.nat(40_000) }),
  frameBytes: fc.oneof(fc.constant(16_384), fc.integer({ min: 3, max: 300 })),
  pad: fc.option(fc.nat(40), { nil: undefined, freq: 4 }),
  isSplit: fc.boolean(),
  isInterim: fc.boolean(),
  status: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 16 }) }),
});

export const conversationPlan: fc.Arbitrary<ConversationPlan> = fc.record({
  answers: fc.array(answerPlan, { minLength: 2, maxLength: 6 }),
  turns: fc.array(fc.nat(5), { minLength: 1, maxLength: 40 }),
  chatter: fc.array(fc.nat(CHATTER.length - 1), { maxLength: 4 }),
});

/** The frames of the answers to these calls, mixed, each answer in its order. */
export function converse(plan: ConversationPlan, calls: readonly RawCall[]): Buffer[] {
  const left = calls.map((call, index) => answerFrames(plan.answers[index]!, call));
  const frames: Buffer[] = [];
  for (let step = 0; left.some(({ length }) => length > 0); step++) {
    const open = left.filter(({ length }) => length > 0);
    frames.push(open[plan.turns[step % plan.turns.length]! % open.length]!.shift()!);
  }
  for (const [index, choice] of plan.chatter.entries()) frames.splice(index * 3, 0, CHATTER[choice]!);
  return frames;
}

/** Each item is what nothing may come between: a frame, or a header block of several. */
function answerFrames(plan: AnswerPlan, { streamId, text }: RawCall): Buffer[] {
  const { messages, size, frameBytes, pad, isSplit, isInterim, status } = plan;
  const body = Buffer.concat(Array.from({ length: messages }, () => message(`${text}${'x'.repeat(size)}`)));
  const frames = isInterim ? [block(streamId, [[':status', '103']], false, false)] : [];
  frames.push(block(streamId, HEAD, false, isSplit));
  for (let at = 0; at < body.length; at += frameBytes) {
    frames.push(data(streamId, body.subarray(at, at + frameBytes), pad === undefined ? {} : { pad }));
  }
  frames.push(block(streamId, status === 0 ? TAIL : [['grpc-status', String(status)]], true, isSplit));
  return frames;
}

function block(streamId: number, fields: Fields, end: boolean, isSplit: boolean): Buffer {
  if (!isSplit) return headers(streamId, fields, { end });
  const bytes = headerBlock(fields);
  return Buffer.concat([
    headers(streamId, bytes.subarray(0, 9), { end, more: true }),
    continuation(streamId, bytes.subarray(9)),
  ]);
}
