import { describe, it } from 'node:test';
import {
  continuation,
  data,
  ERROR,
  FLAG,
  FRAME,
  frame,
  headerBlock,
  headers,
  ping,
  rstStream,
  SETTING,
  settings,
  windowUpdate,
} from '../support/h2-frames.ts';
import { assertTolerated, type Deed } from '../support/http2-scene.ts';
import { answerTo, HEAD, head, message, TAIL, tail } from '../support/raw-grpc.ts';

const UNKNOWN_TYPE = 0xbe;
const NOTHING = Buffer.alloc(0);

/** The frames come before, between and behind those of the answer. */
function around(...extra: readonly Buffer[]): Deed {
  return ([call]) => answerTo(call).flatMap((part) => [...extra, part]);
}

/** Header and trailer in one HEADERS and as many CONTINUATION frames as they need in pieces of this size. */
function inPieces(size: number): Deed {
  return ([{ streamId, text }]) => [
    ...cut(streamId, headerBlock(HEAD), size, false),
    data(streamId, message(text)),
    ...cut(streamId, headerBlock(TAIL), size, true),
  ];
}

function cut(streamId: number, block: Buffer, size: number, end: boolean): Buffer[] {
  const frames = [headers(streamId, block.subarray(0, size), { end, more: true })];
  for (let at = size; at < block.length; at += size) {
    frames.push(continuation(streamId, block.subarray(at, at + size), { more: true }));
  }
  return [...frames, continuation(streamId, NOTHING)];
}

/** Every flag that means nothing for the type, and the reserved bit before the stream. */
function noisy(bytes: Buffer): Buffer {
  const meaning: number[] = [];
  meaning[FRAME.data] = FLAG.endStream | FLAG.padded;
  meaning[FRAME.headers] = FLAG.endStream | FLAG.endHeaders | FLAG.padded | FLAG.priority;
  const copy = Buffer.from(bytes);
  copy[4]! |= ~(meaning[bytes[3]!] ?? 0) & 0xff;
  copy[5]! |= 0x80;
  return copy;
}

/** RFC 7541, section 6: the first answer takes its fields from the table into which an interim one of the second put them. */
const throughTable: Deed = ([first, second]) => {
  const added = (name: string, value: string) =>
    Buffer.concat([Buffer.from([0x40]), headerBlock([[name, value]]).subarray(1)]);
  const indexed = (index: number) => Buffer.from([0x80 | index]);
  const sizeUpdates = Buffer.from([0x20, 0x3f, 0xe1, 0x1f]);
  const interim = [added(':status', '103'), added('content-type', 'application/grpc'), added('grpc-status', '0')];
  return [
    headers(second.streamId, Buffer.concat([sizeUpdates, ...interim])),
    // 8 is :status 200 in the static table.
    headers(first.streamId, Buffer.concat([indexed(8), indexed(63)])),
    data(first.streamId, message(first.text)),
    headers(first.streamId, indexed(62), { end: true }),
  ];
};

const CASES: readonly (readonly [name: string, deed: Deed])[] = [
  ['an answer without anything', around()],
  [
    'padding, from none to as much as there can be',
    ([{ streamId, text }]) => [
      headers(streamId, HEAD, { pad: 255 }),
      data(streamId, NOTHING, { pad: 255 }),
      data(streamId, message(text), { pad: 0 }),
      headers(streamId, TAIL, { end: true, pad: 1 }),
    ],
  ],
  [
    'priorities in HEADERS',
    ([{ streamId, text }]) => [
      headers(streamId, HEAD, { priority: true, pad: 3 }),
      data(streamId, message(text)),
      headers(streamId, TAIL, { end: true, priority: true }),
    ],
  ],
  ['CONTINUATION, a byte in each', inPieces(1)],
  ['CONTINUATION behind HEADERS without a byte', inPieces(1_000)],
  [
    'CONTINUATION behind HEADERS of nothing but padding',
    ([{ streamId, text }]) => [
      headers(streamId, NOTHING, { more: true, pad: 9 }),
      continuation(streamId, headerBlock(HEAD)),
      data(streamId, message(text)),
      tail(streamId),
    ],
  ],
  [
    'PRIORITY on any stream',
    around(...[1, 3, 5, 4, 999].map((id) => frame(FRAME.priority, 0, id, Buffer.from([0, 0, 0, 0, 1])))),
  ],
  [
    'frames of an unknown type',
    around(
      frame(UNKNOWN_TYPE, 0xff, 0, Buffer.from('what is this?')),
      frame(UNKNOWN_TYPE, 0, 1, NOTHING),
      frame(UNKNOWN_TYPE, 0, 998, Buffer.alloc(16_384)),
    ),
  ],
  ['flags and bits without a meaning', ([call]) => answerTo(call).map(noisy)],
  ['PINGs', around(ping(Buffer.from('12345678')))],
  ['the answer to a PING that nobody sent', around(ping(Buffer.from('12345678'), { ack: true }))],
  [
    'SETTINGS in the middle, known and unknown',
    around(
      settings([]),
      settings([
        [SETTING.headerTableSize, 0],
        [SETTING.headerTableSize, 2 ** 32 - 1],
        [SETTING.maxConcurrentStreams, 7],
        [SETTING.maxConcurrentStreams, 2 ** 32 - 1],
        [SETTING.initialWindowSize, 2 ** 30],
        [SETTING.initialWindowSize, 65_535],
        [SETTING.maxFrameSize, 2 ** 24 - 1],
        [SETTING.maxHeaderListSize, 2 ** 32 - 1],
        [SETTING.enablePush, 0],
        [0xbeef, 77],
      ]),
    ),
  ],
  ['WINDOW_UPDATE', around(windowUpdate(0, 1_000), windowUpdate(1, 1_000), windowUpdate(3, 1))],
  [
    'interim answers',
    ([call]) => [
      ...[100, 103, 199].map((status) => headers(call.streamId, [[':status', String(status)]])),
      ...answerTo(call),
    ],
  ],
  [
    'a message in DATA of a byte each, with empty ones between them',
    ([{ streamId, text }]) => [
      head(streamId),
      ...[...message(text)].flatMap((byte) => [data(streamId, Buffer.from([byte])), data(streamId, NOTHING)]),
      tail(streamId),
    ],
  ],
  [
    'trailers that take their time behind an empty DATA',
    async ([call], peer) => {
      const [first, second, last] = answerTo(call);
      peer.send(first, second, data(call.streamId, NOTHING, { pad: 0 }));
      await peer.roundTrip();
      peer.send(last);
    },
  ],
  [
    'frames for a stream that is over, which had to come late',
    ([call]) => [
      ...answerTo(call),
      windowUpdate(call.streamId, 5),
      rstStream(call.streamId, ERROR.noError),
      rstStream(call.streamId, ERROR.cancel),
      frame(FRAME.priority, 0, call.streamId, Buffer.from([0, 0, 0, 0, 1])),
    ],
  ],
  ['header fields through the dynamic table', throughTable],
  [
    'values with characters beyond ASCII',
    ([{ streamId, text }]) => [
      headers(streamId, [...HEAD, ['x-place', 'Zürich']]),
      data(streamId, message(text)),
      tail(streamId),
    ],
  ],
];

describe('direct tolerates', { concurrency: 4 }, () => {
  for (const [name, deed] of CASES) it(name, (test) => assertTolerated(test, deed));

  it('a byte at a time', (test) => assertTolerated(test, around(ping(Buffer.from('12345678'))), { isTrickling: true }));

  it('an answer in the middle of another one', async (test) => {
    const deed: Deed = ([first, second]) => [head(second.streamId), ...answerTo(first)];
    await assertTolerated(test, deed, { hasHeader: true });
  });
});
