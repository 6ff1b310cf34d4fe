import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  continuation,
  data,
  ERROR,
  FRAME,
  frame,
  goAway,
  headerBlock,
  headers,
  ping,
  rstStream,
  settings,
  windowUpdate,
} from '../support/h2-frames.ts';
import { assertConnectionError, assertStreamError, assertTolerated, type Deed } from '../support/http2-scene.ts';
import { answerTo, HEAD, head } from '../support/raw-grpc.ts';

const NOTHING = Buffer.alloc(0);
const MANY = 40_000;
const SOME = 1_000;

type MakeFrame = (streamId: number) => Buffer;

/** What costs the server little, and us something: RFC 9113, section 10.5. */
const FLOODS: readonly (readonly [name: string, make: MakeFrame])[] = [
  ['PING', () => ping(Buffer.alloc(8))],
  ['SETTINGS', () => settings([])],
  ['empty DATA', (id) => data(id, NOTHING)],
  ['DATA of nothing but padding', (id) => data(id, NOTHING, { pad: 0 })],
  ['PRIORITY', (id) => frame(FRAME.priority, 0, id, Buffer.alloc(5))],
  ['WINDOW_UPDATE of the connection', () => windowUpdate(0, 1)],
  ['WINDOW_UPDATE of a stream', (id) => windowUpdate(id, 1)],
  ['frames of an unknown type', () => frame(0xbe, 0, 0, NOTHING)],
];

/** As above, of streams that are over. */
const LATE_FLOODS: readonly (readonly [name: string, make: MakeFrame])[] = [
  ['RST_STREAM', (id) => rstStream(id, ERROR.cancel)],
  ['WINDOW_UPDATE', (id) => windowUpdate(id, 1)],
];

const repeat = (count: number, bytes: Buffer) => Array.from({ length: count }, () => bytes);

/** Too much came behind what ended the connection for its GOAWAY to arrive. */
async function assertFloodEnds(test: TestContext, deed: Deed, lost: readonly (0 | 1)[] = [0, 1]): Promise<void> {
  const errors = await assertConnectionError(test, deed, ERROR.enhanceYourCalm, { lost, mayMissGoAway: true });
  for (const { message } of errors) assert.match(message, /ENHANCE_YOUR_CALM/);
}

describe('direct is not kept busy by', { concurrency: 4 }, () => {
  for (const [name, make] of FLOODS) {
    it(`any number of ${name}`, async (test) => {
      const deed: Deed = ([call]) => [head(call.streamId), ...repeat(MANY, make(call.streamId))];
      await assertFloodEnds(test, deed);
    });

    it(`${SOME} of ${name}, which may be`, async (test) => {
      const deed: Deed = ([call]) => {
        const [first, ...rest] = answerTo(call);
        return [first, ...repeat(SOME, make(call.streamId)), ...rest];
      };
      await assertTolerated(test, deed);
    });
  }

  for (const [name, make] of LATE_FLOODS) {
    it(`any number of ${name} for a stream that is over`, async (test) => {
      const deed: Deed = ([call]) => [...answerTo(call), ...repeat(MANY, make(call.streamId))];
      await assertFloodEnds(test, deed, [1]);
    });
  }

  it('any number of GOAWAY, while calls are open', async (test) => {
    await assertFloodEnds(test, () => repeat(MANY, goAway(2 ** 31 - 1, ERROR.noError)));
  });

  it('any number of interim answers', async (test) => {
    const interim = (id: number) => headers(id, [[':status', '103']]);
    const deed: Deed = ([call]) => repeat(MANY, interim(call.streamId));
    await assertFloodEnds(test, deed);
  });

  for (const [name, fragment] of [
    ['long', Buffer.alloc(16_384, 'x')],
    ['short', Buffer.from('x')],
    ['empty', NOTHING],
  ] as const) {
    it(`any number of CONTINUATION frames, ${name}`, async (test) => {
      const deed: Deed = ([call]) => [
        headers(call.streamId, HEAD, { more: true }),
        ...repeat(2_000, continuation(call.streamId, fragment, { more: true })),
      ];
      await assertFloodEnds(test, deed);
    });
  }

  it('a small block that stands for a large header', async (test) => {
    // One field of 4 kB in the table, and 15,000 references to it.
    const field = Buffer.concat([Buffer.from([0x40]), headerBlock([['x-made-up', 'x'.repeat(4_000)]]).subarray(1)]);
    const block = Buffer.concat([headerBlock(HEAD), field, Buffer.alloc(12_000, 0xbe)]);
    let size = 0;
    const error = await assertStreamError(
      test,
      ([call]) => {
        const frames = [
          headers(call.streamId, block.subarray(0, 16_384), { more: true }),
          continuation(call.streamId, block.subarray(16_384)),
        ];
        size = frames.reduce((sum, { length }) => sum + length, 0);
        return frames;
      },
      ERROR.enhanceYourCalm,
    );
    assert.ok(size < 20_000);
    assert.match(error.message, /header/);
  });
});
