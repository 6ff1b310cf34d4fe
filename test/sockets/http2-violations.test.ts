import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  continuation,
  data,
  ERROR,
  type Fields,
  FLAG,
  FRAME,
  frame,
  goAway,
  headerBlock,
  headers,
  ping,
  rstStream,
  SETTING,
  settings,
  windowUpdate,
} from '../support/h2-frames.ts';
import { assertConnectionError, assertStreamError, connectRaw, type Deed } from '../support/http2-scene.ts';
import { answerTo, HEAD, head, message, TAIL, tail } from '../support/raw-grpc.ts';
import { failureOf, gatewayCode } from '../support/transport-under-test.ts';

const IDLE = 4_001;
const MAX_WINDOW = 2 ** 31 - 1;
const NOTHING = Buffer.alloc(0);
const FOUR = Buffer.alloc(4);

const sends =
  (...frames: readonly Buffer[]): Deed =>
  () =>
    frames;
const setting = (id: number, value: number) => sends(settings([[id, value]]));
const block =
  (...bytes: readonly number[]): Deed =>
  ([{ streamId }]) => [headers(streamId, Buffer.from(bytes))];

/** RFC 9113, section 5.4.1. The numbers are of its sections, or of those of RFC 7541. */
const CONNECTION_ERRORS: readonly (readonly [name: string, code: keyof typeof ERROR, deed: Deed])[] = [
  [
    '4.2: a frame that is too large',
    'frameSizeError',
    ([a]) => [head(a.streamId), data(a.streamId, Buffer.alloc(16_385))],
  ],
  ['4.3: a header block that cannot be decoded', 'compressionError', block(0x80)],
  ['7541 2.3.3: an index beyond the tables', 'compressionError', block(0xff, 0x80, 0x01)],
  ['7541 4.2: a table larger than allowed', 'compressionError', block(0x3f, 0xe2, 0x1f)],
  ['7541 4.2: a table size behind a field', 'compressionError', block(0x88, 0x20)],
  ['7541 5.1: a number without an end', 'compressionError', block(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
  ['7541 5.2: a value that is cut off', 'compressionError', block(0x00, 0x01, 0x61, 0x05, 0x62)],
  [
    '7541 5.2: Huffman code with its end of string',
    'compressionError',
    block(0x00, 0x01, 0x61, 0x84, 0xff, 0xff, 0xff, 0xff),
  ],
  ['7541 5.2: Huffman code with padding of zeros', 'compressionError', block(0x00, 0x01, 0x61, 0x81, 0x00)],
  ['5.1: DATA on an idle stream', 'protocolError', sends(data(IDLE, NOTHING))],
  ['5.1: RST_STREAM on an idle stream', 'protocolError', sends(rstStream(IDLE, 0))],
  ['5.1: WINDOW_UPDATE on an idle stream', 'protocolError', sends(windowUpdate(IDLE, 1))],
  ['5.1.1: HEADERS on an idle stream', 'protocolError', sends(head(IDLE))],
  ['5.1.1: HEADERS on a stream of the server', 'protocolError', sends(head(2))],
  ['6.1: DATA on the connection', 'protocolError', sends(data(0, NOTHING))],
  [
    '6.1: more padding than DATA',
    'protocolError',
    ([a]) => [head(a.streamId), frame(FRAME.data, FLAG.padded, a.streamId, Buffer.from([3, 0, 0]))],
  ],
  [
    '6.1: padding without a length',
    'frameSizeError',
    ([a]) => [head(a.streamId), frame(FRAME.data, FLAG.padded, a.streamId, NOTHING)],
  ],
  ['6.2: HEADERS on the connection', 'protocolError', sends(head(0))],
  [
    '6.2: more padding than HEADERS',
    'protocolError',
    ([a]) => [frame(FRAME.headers, FLAG.padded | FLAG.endHeaders, a.streamId, Buffer.from([9, 0x88]))],
  ],
  [
    '6.2: a block that is interrupted',
    'protocolError',
    ([a]) => [headers(a.streamId, HEAD, { more: true }), ping(Buffer.alloc(8))],
  ],
  [
    '6.2: a block that is interrupted by an unknown frame',
    'protocolError',
    ([a]) => [headers(a.streamId, HEAD, { more: true }), frame(0xbe, 0, 0, NOTHING)],
  ],
  [
    '6.2: two blocks in each other',
    'protocolError',
    ([a, b]) => [headers(a.streamId, HEAD, { more: true }), head(b.streamId)],
  ],
  ['6.4: RST_STREAM on the connection', 'protocolError', sends(rstStream(0, 0))],
  [
    '6.4: RST_STREAM of three bytes',
    'frameSizeError',
    ([a]) => [frame(FRAME.rstStream, 0, a.streamId, FOUR.subarray(1))],
  ],
  ['6.5: SETTINGS on a stream', 'protocolError', sends(frame(FRAME.settings, 0, 1, NOTHING))],
  ['6.5: SETTINGS that end within one', 'frameSizeError', sends(frame(FRAME.settings, 0, 0, FOUR))],
  [
    '6.5: an acknowledgement with SETTINGS',
    'frameSizeError',
    sends(frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(6))),
  ],
  ['6.5.2: a server that wants to push', 'protocolError', setting(SETTING.enablePush, 1)],
  ['6.5.2: a push that is neither on nor off', 'protocolError', setting(SETTING.enablePush, 2)],
  [
    '6.5.2: an initial window that is too large',
    'flowControlError',
    setting(SETTING.initialWindowSize, MAX_WINDOW + 1),
  ],
  ['6.5.2: frames that are too small', 'protocolError', setting(SETTING.maxFrameSize, 16_383)],
  ['6.5.2: frames that are too large', 'protocolError', setting(SETTING.maxFrameSize, 2 ** 24)],
  [
    '6.6: a push',
    'protocolError',
    ([a]) => [frame(FRAME.pushPromise, FLAG.endHeaders, a.streamId, Buffer.from([0, 0, 0, 2, 0x88]))],
  ],
  ['6.7: a PING on a stream', 'protocolError', sends(frame(FRAME.ping, 0, 1, Buffer.alloc(8)))],
  ['6.7: a PING of four bytes', 'frameSizeError', sends(ping(FOUR))],
  ['6.8: GOAWAY on a stream', 'protocolError', sends(frame(FRAME.goAway, 0, 1, Buffer.alloc(8)))],
  ['6.8: GOAWAY of four bytes', 'frameSizeError', sends(frame(FRAME.goAway, 0, 0, FOUR))],
  ['6.9: WINDOW_UPDATE of three bytes', 'frameSizeError', sends(frame(FRAME.windowUpdate, 0, 0, FOUR.subarray(1)))],
  ['6.9: WINDOW_UPDATE of nothing on the connection', 'protocolError', sends(windowUpdate(0, 0))],
  [
    '6.9.1: a window of the connection that is too large',
    'flowControlError',
    sends(windowUpdate(0, MAX_WINDOW), windowUpdate(0, 1)),
  ],
  [
    '6.9.2: a stream’s window that SETTINGS make too large',
    'flowControlError',
    ([a]) => [windowUpdate(a.streamId, MAX_WINDOW - 65_535), settings([[SETTING.initialWindowSize, 70_000]])],
  ],
  ['6.10: CONTINUATION of nothing', 'protocolError', ([a]) => [continuation(a.streamId, headerBlock(HEAD))]],
  [
    '6.10: CONTINUATION of another stream',
    'protocolError',
    ([a, b]) => [headers(a.streamId, HEAD, { more: true }), continuation(b.streamId, NOTHING)],
  ],
  [
    '6.10: CONTINUATION behind the end of the block',
    'protocolError',
    ([a]) => [head(a.streamId), continuation(a.streamId, NOTHING)],
  ],
];

const malformed =
  (...fields: Fields): Deed =>
  ([{ streamId, text }]) => [headers(streamId, fields), data(streamId, message(text)), tail(streamId)];
const malformedTrailer =
  (...fields: Fields): Deed =>
  ([{ streamId, text }]) => [head(streamId), data(streamId, message(text)), headers(streamId, fields, { end: true })];

/** RFC 9113, section 5.4.2: they end one stream alone. */
const STREAM_ERRORS: readonly (readonly [name: string, code: keyof typeof ERROR, deed: Deed])[] = [
  ['8.1: content before the header', 'protocolError', ([a]) => [data(a.streamId, message(a.text)), head(a.streamId)]],
  ['8.1: a trailer that is not the end', 'protocolError', ([a]) => [head(a.streamId), headers(a.streamId, TAIL)]],
  [
    '8.1: an interim answer that is the end',
    'protocolError',
    ([a]) => [headers(a.streamId, [[':status', '100']], { end: true })],
  ],
  ['8.2: a name in capitals', 'protocolError', malformed(...HEAD, ['X-Made-Up', 'x'])],
  ['8.2.1: a name with a space', 'protocolError', malformed(...HEAD, ['x made up', 'x'])],
  ['8.2.1: a name without a letter', 'protocolError', malformed(...HEAD, ['', 'x'])],
  ['8.2.1: a value of two lines', 'protocolError', malformed(...HEAD, ['x-made-up', 'a\r\nb: c'])],
  ['8.2.1: a value with a zero', 'protocolError', malformed(...HEAD, ['x-made-up', 'a\0b'])],
  ['8.2.1: a value that ends in a space', 'protocolError', malformed(...HEAD, ['x-made-up', 'a '])],
  ['8.2.2: a field of HTTP/1.1', 'protocolError', malformed(...HEAD, ['connection', 'close'])],
  ['8.3: no status', 'protocolError', malformed(...HEAD.slice(1))],
  ['8.3: two statuses', 'protocolError', malformed([':status', '200'], ...HEAD)],
  ['8.3: a status behind other fields', 'protocolError', malformed(...HEAD.slice(1), ...HEAD.slice(0, 1))],
  ['8.3: a pseudo-field of requests', 'protocolError', malformed([':path', '/'], ...HEAD)],
  ['8.3: a pseudo-field that nobody knows', 'protocolError', malformed([':made-up', 'x'], ...HEAD)],
  ['8.3.2: a status that is no number', 'protocolError', malformed([':status', 'fine'], ...HEAD.slice(1))],
  ['8.1: a status in the trailer', 'protocolError', malformedTrailer([':status', '200'], ...TAIL)],
  ['8.2: a name in capitals in the trailer', 'protocolError', malformedTrailer(...TAIL, ['X-Made-Up', 'x'])],
  ['6.9: WINDOW_UPDATE of nothing', 'protocolError', ([a]) => [windowUpdate(a.streamId, 0)]],
  ['6.9.1: a window that is too large', 'flowControlError', ([a]) => [windowUpdate(a.streamId, MAX_WINDOW)]],
];

describe('direct gives up the connection for', { concurrency: 4 }, () => {
  for (const [name, code, deed] of CONNECTION_ERRORS) {
    it(name, async (test) => {
      await assertConnectionError(test, deed, ERROR[code]);
    });
  }

  // The first call is over by then, and was good.
  for (const [name, frames] of [
    ['5.1: DATA behind the end', (id: number) => data(id, NOTHING)],
    ['5.1: HEADERS behind the end', tail],
  ] as const) {
    it(name, async (test) => {
      const deed: Deed = ([call]) => [...answerTo(call), frames(call.streamId)];
      await assertConnectionError(test, deed, ERROR.streamClosed, { lost: [1] });
    });
  }

  for (const [name, first] of [
    ['3.4: a server that begins with a PING', ping(Buffer.alloc(8))],
    ['3.4: a server that begins with an acknowledgement', frame(FRAME.settings, FLAG.ack, 0, NOTHING)],
    ['3.4: a server that begins with GOAWAY and nothing else', goAway(0, 0)],
  ] as const) {
    it(name, async (test) => {
      const quiet = { settings: false, acknowledges: false } as const;
      const { server, over } = await connectRaw(test, (peer) => peer.send(first), quiet);
      const error = await failureOf(over.get('a', { timeoutMs: 3_000 }));
      assert.equal(gatewayCode(error), 'UNAVAILABLE', `${error}`);
      assert.equal(await server.peers[0]!.goAwayCode(), ERROR.protocolError);
    });
  }
});

describe('direct gives up the stream alone for', { concurrency: 4 }, () => {
  for (const [name, code, deed] of STREAM_ERRORS) {
    it(name, async (test) => {
      const error = await assertStreamError(test, deed, ERROR[code]);
      assert.match(gatewayCode(error), /^(UNAVAILABLE|INTERNAL)$/, `${error}`);
    });
  }

  it('10.5.1: a header of more than it takes', async (test) => {
    const big: Fields = [
      ...HEAD,
      ...Array.from({ length: 12 }, (_, index) => [`x-${index}`, 'x'.repeat(8_000)] as const),
    ];
    const bytes = headerBlock(big);
    const deed: Deed = ([{ streamId, text }]) => [
      headers(streamId, bytes.subarray(0, 16_000), { more: true }),
      ...[1, 2, 3, 4, 5].map((at) =>
        continuation(streamId, bytes.subarray(at * 16_000, at * 16_000 + 16_000), { more: true }),
      ),
      continuation(streamId, bytes.subarray(96_000)),
      data(streamId, message(text)),
      tail(streamId),
    ];
    const error = await assertStreamError(test, deed, ERROR.enhanceYourCalm);
    assert.match(gatewayCode(error), /^(UPSTREAM_RESPONSE_TOO_LARGE|INTERNAL|OVERLOADED)$/, `${error}`);
  });
});
