import fc from 'fast-check';
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
  PREFACE,
  ping,
  rstStream,
  SETTING,
  settings,
  windowUpdate,
} from '../../support/h2-frames.ts';
import { BENDS } from './bent-fields.ts';
import { judge } from './fields.ts';
import { blockFrames } from './request-frames.ts';

/** Frames that an honest client does not send, which may take the streams below `FIRST_HONEST_ID`. */
export interface Attack {
  readonly frames: readonly Buffer[];
  /** It concerns its own streams alone: others of the connection must be answered. */
  readonly isContained: boolean;
}

export const FIRST_HONEST_ID = 4_001;
const LARGEST_WINDOW = 2 ** 31 - 1;
const NOTHING = Buffer.alloc(0);

const requestOf = (method: string, path: string): Fields => [
  [':method', method],
  [':scheme', 'https'],
  [':authority', 'gateway.test'],
  [':path', path],
];
const GET = requestOf('GET', '/v1/healthz');
const POST: Fields = [...requestOf('POST', '/v1/workflows'), ['content-type', 'application/json']];
const DOCUMENT = requestOf('GET', '/openapi.json');

const get = (id: number) => headers(id, GET, { end: true });
const post = (id: number) => headers(id, POST);
const times = (count: number, make: (index: number) => Buffer) => Array.from({ length: count }, (_, at) => make(at));
const ids = (count: number) => Array.from({ length: count }, (_, index) => 2 * index + 1);
const uint32 = (value: number) => Buffer.from(value.toString(16).padStart(8, '0'), 'hex');
const text = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');

/** What may be sent by mistake, or a few times. */
const CONTAINED: readonly (() => readonly Buffer[])[] = [
  ...BENDS.map((bend) => () => {
    const fields = bend(GET);
    // More than fits into a head costs a client its connection.
    return judge(fields, 0) === 'fatal' ? [] : [blockFrames(1, fields, { end: true })];
  }),
  () => [get(1), rstStream(1, ERROR.cancel)],
  () => [post(1), rstStream(1, ERROR.cancel)],
  () => [post(1), data(1, Buffer.from('{"name"')), rstStream(1, ERROR.noError)],
  () => ids(20).flatMap((id) => [get(id), rstStream(id, ERROR.cancel)]),
  () => times(20, () => ping(Buffer.from('fuzzping'))),
  () => times(20, () => settings([])),
  () => times(20, (at) => settings([[SETTING.initialWindowSize, 2 ** 30 + at]])),
  () => times(20, () => settings([[0xff, 1]])),
  () => times(50, (at) => frame(FRAME.priority, 0, 2 * at + 1, text('00000000 0f'))),
  () => times(20, (at) => frame(0xee, 0xff, at, Buffer.from('unknown'))),
  () => [post(1), ...times(20, () => data(1, NOTHING)), data(1, Buffer.from('{}'), { end: true })],
  () => [post(1), data(1, Buffer.from('{}'), { pad: 255 }), data(1, NOTHING, { pad: 0, end: true })],
  () => [post(1), data(1, Buffer.from('{}')), headers(1, [['x-odd', 'a trailer']], { end: true })],
  () => [post(1), data(1, Buffer.from('{}')), headers(1, [[':path', '/v1/healthz']], { end: true })],
  () => [post(1), data(1, Buffer.from('{}')), headers(1, [['content-length', '9']], { end: true })],
  () => [headers(1, [...POST, ['content-length', '9']]), data(1, Buffer.from('{}'), { end: true })],
  () => [headers(1, GET, { priority: true, pad: 100, end: true })],
  () => [headers(1, requestOf('CONNECT', '/').slice(0, 1)), data(1, Buffer.from('tunnel'))],
  () => [
    headers(1, [
      [':method', 'CONNECT'],
      [':authority', 'a:1'],
    ]),
    data(1, Buffer.from('tunnel')),
  ],
];

/** What breaks the rules for all streams, or does too much of what is allowed. */
const BROKEN: readonly (() => readonly Buffer[])[] = [
  // Heads without an end.
  () => [headers(1, GET, { more: true })],
  () => [headers(1, GET, { more: true }), ...times(200, () => continuation(1, NOTHING, { more: true }))],
  () => [
    headers(1, GET, { more: true }),
    ...times(50, () => continuation(1, headerBlock([['x', 'y']]), { more: true })),
  ],
  () => {
    const more = headerBlock([['x-a', 'a'.repeat(16_000)]]);
    return [headers(1, GET, { more: true }), ...times(20, () => continuation(1, more, { more: true }))];
  },
  () => [headers(1, GET, { more: true }), ping(Buffer.alloc(8)), continuation(1, NOTHING)],
  () => [headers(1, GET, { more: true }), continuation(3, NOTHING)],
  () => [headers(1, GET, { more: true }), get(3)],
  () => [continuation(1, headerBlock(GET))],
  () => [get(1), continuation(1, NOTHING)],
  ...BENDS.map((bend) => () => [blockFrames(1, bend(GET), { end: true })]),
  // Floods.
  () => ids(1_000).flatMap((id) => [get(id), rstStream(id, ERROR.cancel)]),
  () => ids(1_000).flatMap((id) => [post(id), rstStream(id, ERROR.cancel)]),
  () => ids(600).flatMap((id) => [get(id), windowUpdate(id, LARGEST_WINDOW)]),
  () => times(3_000, () => settings([[SETTING.initialWindowSize, 65_535]])),
  () => times(3_000, () => ping(Buffer.from('fuzzping'))),
  () => times(3_000, () => ping(Buffer.from('fuzzping'), { ack: true })),
  () => times(3_000, (at) => frame(FRAME.priority, 0, 2 * at + 1, text('00000000 0f'))),
  () => times(3_000, () => frame(0xee, 0, 0, Buffer.from('unknown'))),
  () => times(3_000, () => windowUpdate(0, 1)),
  () => [post(1), ...times(3_000, () => data(1, NOTHING))],
  () => [post(1), ...times(500, () => data(1, NOTHING, { pad: 255 }))],
  () => times(300, (at) => post(2 * at + 1)),
  () => times(400, (at) => get(2 * at + 1)),
  () => times(150, (at) => headers(2 * at + 1, [...GET, ['X-Upper', '1']], { end: true })),
  () => [
    settings([[SETTING.initialWindowSize, 0]]),
    ...times(200, (at) => headers(2 * at + 1, DOCUMENT, { end: true })),
  ],
  () => [
    settings([[SETTING.initialWindowSize, 0]]),
    headers(1, DOCUMENT, { end: true }),
    ...times(100, () => windowUpdate(1, 1)),
  ],
  () => times(100, (at) => settings([[SETTING.initialWindowSize, at % 2 ? 0 : LARGEST_WINDOW]])),
  () =>
    times(30, (at) => settings([[SETTING.headerTableSize, at % 2 ? 0 : 2 ** 32 - 1]])).flatMap((bytes, at) => [
      bytes,
      get(2 * at + 1),
    ]),
  // What RFC 9113 has as errors of a stream, and node:http2 as one of the connection.
  () => [get(1), windowUpdate(1, LARGEST_WINDOW)],
  () => [post(1), windowUpdate(1, LARGEST_WINDOW)],
  () => [headers(1, [...POST, ['content-length', '1']]), data(1, Buffer.from('{"name":"x"}'), { end: true })],
  // Windows.
  () => [windowUpdate(0, LARGEST_WINDOW)],
  () => [windowUpdate(0, 0)],
  () => [get(1), windowUpdate(1, 0)],
  () => [windowUpdate(1, 1)],
  () => [post(1), settings([[SETTING.initialWindowSize, LARGEST_WINDOW]]), windowUpdate(1, 1_000)],
  () => [frame(FRAME.windowUpdate, 0, 0, text('0000'))],
  () => [post(1), ...times(5, () => data(1, Buffer.alloc(16_384)))],
  () => [
    post(1),
    post(3),
    ...times(3, () => data(1, Buffer.alloc(16_384))),
    ...times(3, () => data(3, Buffer.alloc(16_384))),
  ],
  // SETTINGS, PING, GOAWAY.
  () => [settings([[SETTING.enablePush, 2]])],
  () => [settings([[SETTING.initialWindowSize, 2 ** 31]])],
  () => [settings([[SETTING.maxFrameSize, 1]])],
  () => [settings([[SETTING.maxFrameSize, 2 ** 24]])],
  () => [
    settings([
      [SETTING.maxFrameSize, 2 ** 24 - 1],
      [SETTING.maxHeaderListSize, 0],
      [SETTING.maxConcurrentStreams, 0],
    ]),
    get(1),
  ],
  () => [settings(Array.from({ length: 1_000 }, (_, at) => [at % 10, at] as const))],
  () => [frame(FRAME.settings, 0, 1, NOTHING)],
  () => [frame(FRAME.settings, 0, 0, text('0001'))],
  () => [frame(FRAME.settings, FLAG.ack, 0, text('000100000000'))],
  () => times(20, () => frame(FRAME.settings, FLAG.ack, 0, NOTHING)),
  () => [frame(FRAME.ping, 0, 0, text('00'))],
  () => [frame(FRAME.ping, 0, 1, Buffer.alloc(8))],
  () => [goAway(0, ERROR.noError), get(1)],
  () => [get(1), goAway(0, ERROR.internalError, 'x'.repeat(10_000)), get(3)],
  () => [frame(FRAME.goAway, 0, 1, Buffer.alloc(8))],
  () => [frame(FRAME.goAway, 0, 0, NOTHING)],
  () => times(200, () => goAway(0, ERROR.noError)),
  // Streams.
  () => [data(0, Buffer.from('x'))],
  () => [data(1, Buffer.from('x'))],
  () => [get(1), data(1, Buffer.from('x'), { end: true })],
  () => [post(1), rstStream(1, ERROR.cancel), ...times(10, () => data(1, Buffer.from('x')))],
  () => [post(1), data(1, Buffer.from('{}'), { end: true }), ...times(10, () => data(1, Buffer.from('x')))],
  () => [headers(0, GET, { end: true })],
  () => [headers(2, GET, { end: true })],
  () => [get(3), get(1)],
  () => [get(1), get(1)],
  () => [get(1), rstStream(1, ERROR.cancel), get(1)],
  () => [headers(2 ** 31 - 1, GET, { end: true }), get(1)],
  () => [rstStream(0, ERROR.cancel)],
  () => [rstStream(1, ERROR.cancel)],
  () => [get(1), frame(FRAME.rstStream, 0, 1, text('00'))],
  () => [get(1), rstStream(1, 2 ** 32 - 1)],
  () => [frame(FRAME.priority, 0, 0, text('00000000 0f'))],
  () => [frame(FRAME.priority, 0, 1, text('00000001 0f'))],
  () => [frame(FRAME.priority, 0, 1, text('00'))],
  () => [
    frame(FRAME.headers, FLAG.endHeaders | FLAG.priority, 1, Buffer.concat([uint32(1), text('0f'), headerBlock(GET)])),
  ],
  () => [frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([uint32(2), headerBlock(GET)]))],
  () => [get(1), frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([uint32(2), headerBlock(GET)]))],
  () => [post(1), headers(1, [['x-odd', 'no end']])],
  // Lengths.
  () => [frame(FRAME.data, 0, 1, Buffer.alloc(16_385))],
  () => [post(1), frame(FRAME.data, 0, 1, Buffer.alloc(100_000))],
  () => [post(1), frame(FRAME.data, FLAG.padded, 1, text('05 00'))],
  () => [post(1), frame(FRAME.data, FLAG.padded, 1, NOTHING)],
  () => [frame(FRAME.headers, FLAG.endHeaders | FLAG.padded, 1, text('ff'))],
  () => [frame(FRAME.headers, FLAG.endHeaders | FLAG.priority, 1, text('0000'))],
  () => [frame(FRAME.headers, FLAG.endHeaders, 1, headerBlock(GET), 2 ** 24 - 1)],
  () => [frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, NOTHING)],
  // HPACK (RFC 7541).
  ...[
    '80',
    'ff ff ff ff ff ff 0f',
    'be',
    '3f e2 1f',
    '3f ff ff ff ff 0f',
    '00 85 ff ff ff ff ff 00',
    '40',
    '00 7f',
    '0f ff',
    '82 20',
  ].map((hex) => () => [headers(1, text(hex), { end: true })]),
  // One large entry of the table, named over and over: 4,000 bytes for each of ours.
  () => {
    const entry = Buffer.concat([text('40 01 61 7f a1 1e'), Buffer.alloc(4_000, 'x')]);
    return ids(20).map((id) =>
      headers(id, Buffer.concat([headerBlock(GET), ...(id === 1 ? [entry] : []), Buffer.alloc(10_000, 0xbe)]), {
        end: true,
      }),
    );
  },
  // Another protocol.
  () => [PREFACE, settings([])],
  () => [Buffer.from('GET /v1/healthz HTTP/1.1\r\nHost: gateway.test\r\n\r\n')],
  () => [Buffer.alloc(20_000)],
  () => [Buffer.alloc(20_000, 0xff)],
];

export const attack: fc.Arbitrary<Attack> = fc.oneof(
  fc.constantFrom(...CONTAINED.keys()).map((index) => ({ frames: CONTAINED[index]!(), isContained: true })),
  fc.constantFrom(...BROKEN.keys()).map((index) => ({ frames: BROKEN[index]!(), isContained: false })),
);
