import fc from 'fast-check';
import { damage, damaged } from '../../chaos/http2/damage.ts';
import { data, FLAG, FRAME, frame, PREFACE, ping, SETTING, settings, windowUpdate } from '../../support/h2-frames.ts';
import { cut, rawDraft } from '../raw.ts';
import { type Draft, type Request, toRequest } from '../request.ts';
import type { World } from '../world.ts';
import { attack, FIRST_HONEST_ID } from './attacks.ts';
import { fieldsOf } from './fields.ts';
import { blockFrames, bodyFrames } from './request-frames.ts';

/** A request that is whole and right, and so has an answer with its id. */
export interface Asked {
  readonly streamId: number;
  readonly id: string;
  readonly method: string;
  readonly target: string;
  /** The rest of its body never comes. */
  readonly isUnfinished: boolean;
}

/** Bytes for a connection over TLS, as the packets that they are written in. */
export interface FramesInput {
  readonly packets: readonly Buffer[];
  readonly asked: readonly Asked[];
  /** The client does not hang up, also when the server does. */
  readonly isStubborn: boolean;
  /** They are written without any TLS. */
  readonly isPlain: boolean;
}

/** There is room for more. */
const LARGE_WINDOW = 2 ** 30;
const GREETING = [
  PREFACE,
  settings([[SETTING.initialWindowSize, LARGE_WINDOW]]),
  windowUpdate(0, LARGE_WINDOW),
  frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0)),
];

/** How one request is cut into frames. */
const shape = fc.record({
  frameBytes: fc.oneof(fc.constant(16_384), fc.integer({ min: 1, max: 300 })),
  fragmentBytes: fc.oneof(
    { weight: 3, arbitrary: fc.constant(16_384) },
    { weight: 1, arbitrary: fc.integer({ min: 60, max: 300 }) },
  ),
  pad: fc.option(fc.nat(255), { nil: undefined, freq: 3 }),
  priority: fc.boolean(),
});
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

/** What else a client may say at any time. */
const CHATTER: readonly Buffer[] = [
  ping(Buffer.from('chatter.')),
  settings([[SETTING.headerTableSize, 0]]),
  settings([[SETTING.headerTableSize, 4_096]]),
  settings([[SETTING.maxFrameSize, 100_000]]),
  windowUpdate(0, 1),
  frame(FRAME.priority, 0, 9_999, Buffer.from([0, 0, 0, 0, 9])),
  frame(0xee, 0xff, 7, Buffer.from('unknown')),
];

/** Clients that know HTTP/2 badly, or too well. `isHeld`: what they begin, they do not end. */
export function framesInput(
  valid: ReadonlyMap<string, fc.Arbitrary<Draft>>,
  world: World,
  isHeld: boolean,
): fc.Arbitrary<FramesInput> {
  const draft = rawDraft(valid);
  const honest = fc
    .record({
      drafts: fc.array(fc.tuple(draft, shape), { minLength: 1, maxLength: 6 }),
      turns: fc.array(fc.nat(5), { minLength: 1, maxLength: 20 }),
      chatter: fc.array(fc.nat(CHATTER.length - 1), { maxLength: 3 }),
      isUnfinished: fc.constant(isHeld),
    })
    .map(({ drafts, turns, chatter, isUnfinished }) => (firstId: number) => {
      const requests = drafts.map(([one, cutting], index) => {
        const id = `r${index}`;
        const request = toRequest({ ...one, headers: [...one.headers, ['X-Request-Id', id]] }, world.sign);
        const streamId = firstId + 2 * index;
        const isOpen = isUnfinished && request.body.length > 1;
        const asked: Asked = { streamId, id, method: request.method, target: one.path, isUnfinished: isOpen };
        return { asked, frames: requestFrames(streamId, request, cutting, isOpen) };
      });
      const frames = mixed(
        requests.map(({ frames: own }) => own),
        turns,
      );
      for (const [index, choice] of chatter.entries()) frames.splice(index * 2, 0, CHATTER[choice]!);
      return { frames, asked: requests.map(({ asked }) => asked) };
    });

  const whole = honest.map((make) => {
    const { frames, asked } = make(1);
    return { frames: [...GREETING, ...frames], asked };
  });
  const broken = fc.tuple(honest, fc.array(damage, { minLength: 1, maxLength: 4 })).map(([make, damages]) => ({
    frames: damaged([...GREETING, ...make(1).frames], damages),
    asked: [],
  }));
  const attacked = fc.tuple(attack, honest).map(([{ frames: hostile, isContained }, make]) => {
    const { frames, asked } = make(FIRST_HONEST_ID);
    return { frames: [...GREETING, ...hostile, ...frames], asked: isContained ? asked : [] };
  });
  const junk = fc.uint8Array({ maxLength: 300 }).map((bytes) => ({ frames: [Buffer.from(bytes)], asked: [] }));
  const afterGreeting = fc
    .uint8Array({ maxLength: 300 })
    .map((bytes) => ({ frames: [...GREETING, Buffer.from(bytes)], asked: [] }));
  const input = fc.oneof(
    { weight: 4, arbitrary: whole },
    { weight: 8, arbitrary: broken },
    { weight: 8, arbitrary: attacked },
    { weight: 1, arbitrary: junk },
    { weight: 1, arbitrary: afterGreeting },
  );
  return fc
    .record({
      input,
      cuts: fc.array(fc.nat(5_000), { maxLength: 5 }),
      isStubborn: isHeld ? fc.boolean() : fc.constant(false),
      isPlain: fc.nat(40).map((choice) => choice === 0),
    })
    .map(({ input: { frames, asked }, cuts, isStubborn, isPlain }) => ({
      packets: cut(Buffer.concat(frames), cuts),
      asked: isPlain ? [] : asked,
      isStubborn,
      isPlain,
    }));
}

/** Each item is what nothing may come between. */
function requestFrames(streamId: number, request: Request, cutting: Shape, isUnfinished: boolean): Buffer[] {
  const { frameBytes, fragmentBytes, pad, priority } = cutting;
  const { body } = request;
  const head = blockFrames(streamId, fieldsOf(request), { end: body.length === 0, fragmentBytes, pad, priority });
  // A window has room for so much before the server says more.
  const pieceBytes = Math.max(frameBytes, Math.ceil(body.length / 50));
  if (!isUnfinished) return [head, ...bodyFrames(streamId, body, pieceBytes, pad)];
  return [head, data(streamId, body.subarray(0, body.length - 1))];
}

/** The frames of all, each one's in their order. */
function mixed(lists: readonly Buffer[][], turns: readonly number[]): Buffer[] {
  const left = lists.map((frames) => [...frames]);
  const result: Buffer[] = [];
  // The heads come first: streams begin in the order of their ids.
  for (const frames of left) result.push(frames.shift()!);
  for (let step = 0; ; step++) {
    const open = left.filter(({ length }) => length > 0);
    if (open.length === 0) return result;
    result.push(open[turns[step % turns.length]! % open.length]!.shift()!);
  }
}
