import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ERROR, FLAG, FRAME, type Frame, rstStream, SETTING, settings, windowUpdate } from '../support/h2-frames.ts';
import { connectRaw } from '../support/http2-scene.ts';
import { answerTo, onCall, type RawCall, serveHonestly } from '../support/raw-grpc.ts';
import type { RawPeer } from '../support/raw-http2-server.ts';
import { failureOf } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const BIG = 200_000;
const DEFAULT_WINDOW = 65_535;
const MAX_FRAME = 16_384;
/** Only the connection's window holds a request back. */
const ROOMY = { settings: [[SETTING.initialWindowSize, 2 * BIG]] } as const;

const dataOf = (peer: RawPeer, id?: number) =>
  peer.received.filter(({ type, streamId }) => type === FRAME.data && (id === undefined || streamId === id));
const bytesOf = (frames: readonly Frame[]) => frames.reduce((sum, { payload }) => sum + payload.length, 0);

describe('direct sends', () => {
  it('no more than the windows of the stream and of the connection, in frames that are not too large', async (test) => {
    const { over } = await connectRaw(test, async (peer) => {
      const isBigCall = () => peer.received.some(({ type }) => type === FRAME.headers);
      await until('the call', isBigCall);
      await until('a window of bytes', () => bytesOf(dataOf(peer)) >= DEFAULT_WINDOW);
      await peer.roundTrip();
      assert.equal(bytesOf(dataOf(peer)), DEFAULT_WINDOW);
      // The stream's window alone does not help, nor does that of the connection.
      peer.send(windowUpdate(1, 1_000));
      await peer.roundTrip();
      assert.equal(bytesOf(dataOf(peer)), DEFAULT_WINDOW);
      peer.send(windowUpdate(0, 2_000));
      await until('what both allow', () => bytesOf(dataOf(peer)) >= DEFAULT_WINDOW + 1_000);
      await peer.roundTrip();
      assert.equal(bytesOf(dataOf(peer)), DEFAULT_WINDOW + 1_000);
      serveHonestly(peer);
      peer.send(windowUpdate(0, BIG), windowUpdate(1, BIG));
      await until('the rest', () => bytesOf(dataOf(peer)) > BIG);
      for (const { payload } of dataOf(peer)) assert.ok(payload.length <= MAX_FRAME, `${payload.length}`);
    });
    assert.equal((await within('the call', over.get('y'.repeat(BIG)))).id.length, BIG);
  });

  it('nothing while an initial window of 0 holds, and then a byte for each byte', async (test) => {
    const { over } = await connectRaw(
      test,
      async (peer) => {
        await peer.find('HEADERS', ({ type }) => type === FRAME.headers);
        await peer.roundTrip();
        assert.equal(bytesOf(dataOf(peer)), 0);
        serveHonestly(peer);
        while (!dataOf(peer).some(({ flags }) => flags & FLAG.endStream)) {
          peer.send(windowUpdate(1, 1));
          await peer.roundTrip();
        }
        assert.ok(dataOf(peer).every(({ payload }) => payload.length <= 1));
      },
      { settings: [[SETTING.initialWindowSize, 0]] },
    );
    assert.equal((await within('the call', over.get('slowly'))).id, 'slowly');
  });

  it('nothing while SETTINGS have made the window smaller than what is used', async (test) => {
    const { over } = await connectRaw(test, async (peer) => {
      peer.send(windowUpdate(0, BIG * 2));
      await until('a window of bytes', () => bytesOf(dataOf(peer)) >= DEFAULT_WINDOW);
      // The window is now 1000 - 65535.
      peer.send(settings([[SETTING.initialWindowSize, 1_000]]), windowUpdate(1, DEFAULT_WINDOW - 1_000));
      await peer.roundTrip();
      assert.equal(bytesOf(dataOf(peer)), DEFAULT_WINDOW);
      peer.send(windowUpdate(1, 5_000));
      await until('5000 more', () => bytesOf(dataOf(peer)) >= DEFAULT_WINDOW + 5_000);
      await peer.roundTrip();
      assert.equal(bytesOf(dataOf(peer)), DEFAULT_WINDOW + 5_000);
      serveHonestly(peer);
      peer.send(settings([[SETTING.initialWindowSize, BIG + DEFAULT_WINDOW]]));
    });
    assert.equal((await within('the call', over.get('y'.repeat(BIG)))).id.length, BIG);
  });

  it('small requests next to a large one that waits for its window', async (test) => {
    const { over } = await connectRaw(test, async (peer) => {
      await until('the large one waits', () => bytesOf(dataOf(peer)) >= DEFAULT_WINDOW);
      peer.send(windowUpdate(0, 10_000));
      const small: RawCall[] = [];
      onCall(peer, (call) => {
        small.push(call);
        peer.send(...answerTo(call));
      });
      await until('the small ones', () => small.length === 20);
      peer.send(windowUpdate(0, BIG), windowUpdate(1, BIG));
    });
    const large = over.get('y'.repeat(BIG));
    const texts = Array.from({ length: 20 }, (_, index) => `small ${index}`);
    const small = await within('the small ones', Promise.all(texts.map((text) => over.get(text))));
    assert.deepEqual(
      small.map(({ id }) => id),
      texts,
    );
    assert.equal((await within('the large one', large)).id.length, BIG);
  });

  it('nothing more of a request whose answer is complete', async (test) => {
    const { over } = await connectRaw(
      test,
      async (peer) => {
        await until('the first part', () => bytesOf(dataOf(peer)) >= DEFAULT_WINDOW);
        peer.send(...answerTo({ streamId: 1, text: 'enough' }), rstStream(1, ERROR.noError));
        peer.send(windowUpdate(0, BIG));
        await peer.roundTrip();
        assert.equal(bytesOf(dataOf(peer, 1)), DEFAULT_WINDOW);
        serveHonestly(peer);
      },
      ROOMY,
    );
    assert.equal((await within('the call', over.get('y'.repeat(BIG)))).id, 'enough');
    assert.equal((await within('the next', over.get('next'))).id, 'next');
  });

  it('nothing more of a request that was cancelled', async (test) => {
    const cancel = new AbortController();
    const { over } = await connectRaw(
      test,
      async (peer) => {
        await until('the first part', () => bytesOf(dataOf(peer)) >= DEFAULT_WINDOW);
        cancel.abort();
        assert.equal(await peer.resetCode(1), ERROR.cancel);
        peer.send(windowUpdate(0, BIG));
        await peer.roundTrip();
        assert.equal(bytesOf(dataOf(peer, 1)), DEFAULT_WINDOW);
        serveHonestly(peer);
      },
      ROOMY,
    );
    await failureOf(over.get('y'.repeat(BIG), { signal: cancel.signal }));
    assert.equal((await within('the next', over.get('next'))).id, 'next');
  });

  it('a header that is too large for a frame in several, which nothing comes between', async (test) => {
    const { over, server } = await connectRaw(test, (peer) => serveHonestly(peer));
    const texts = Array.from({ length: 10 }, (_, index) => `${index}`);
    const options = { headers: { 'x-large': 'h'.repeat(40_000) } };
    const answers = await within('the calls', Promise.all(texts.map((text) => over.get(text, options))));
    assert.deepEqual(
      answers.map(({ id }) => id),
      texts,
    );
    const frames = server.peers[0]!.received.filter(
      ({ type }) => type === FRAME.headers || type === FRAME.continuation,
    );
    assert.equal(frames.length, texts.length * 3);
    const { received } = server.peers[0]!;
    for (const [index, { type, flags, streamId, payload }] of received.entries()) {
      if ((type !== FRAME.headers && type !== FRAME.continuation) || flags & FLAG.endHeaders) continue;
      assert.deepEqual([received[index + 1]?.type, received[index + 1]?.streamId], [FRAME.continuation, streamId]);
      assert.ok(payload.length <= MAX_FRAME);
    }
  });
});
