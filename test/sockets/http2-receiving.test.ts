import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { data, ERROR, FRAME } from '../support/h2-frames.ts';
import { connectRaw } from '../support/http2-scene.ts';
import { answerTo, head, message, serveHonestly, tail, takeCall, takeCalls } from '../support/raw-grpc.ts';
import type { RawPeer } from '../support/raw-http2-server.ts';
import { drainNumbers, failureOf, gatewayCode } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const DEFAULT_WINDOW = 65_535;
const MAX_FRAME = 16_384;
const ONE_STREAM_WINDOW = 1024 * 1024;

/** As much of an answer as the windows have room for. */
function sendSome(
  peer: RawPeer,
  answer: { readonly streamId: number; readonly bytes: Buffer; at: number },
  windows: Map<number, number>,
): void {
  const { streamId, bytes } = answer;
  for (;;) {
    const window = Math.min(windows.get(0)!, windows.get(streamId) ?? ONE_STREAM_WINDOW);
    const size = Math.min(window, MAX_FRAME, bytes.length - answer.at);
    if (size <= 0) return;
    peer.send(data(streamId, bytes.subarray(answer.at, answer.at + size)));
    answer.at += size;
    windows.set(0, windows.get(0)! - size);
    windows.set(streamId, (windows.get(streamId) ?? ONE_STREAM_WINDOW) - size);
  }
}

describe('direct takes', () => {
  it('no more than the window of a stream that nobody reads', async (test) => {
    const events = message('x'.repeat(MAX_FRAME - 100));
    const { over, server } = await connectRaw(test, async (peer) => {
      const call = await takeCall(peer);
      peer.send(head(call.streamId));
      for (let sent = 0; sent <= ONE_STREAM_WINDOW + MAX_FRAME; sent += events.length) {
        peer.send(data(call.streamId, events));
      }
      assert.equal(await peer.resetCode(call.streamId), ERROR.flowControlError);
      serveHonestly(peer, [call]);
    });
    const unread = over.stream({});
    await unread.next();
    assert.equal((await within('the next', over.get('next'))).id, 'next');
    assert.equal(server.peers.length, 1);
    const error = await within('the failure', failureOf(drainNumbers(unread)));
    assert.equal(gatewayCode(error), 'UNAVAILABLE', `${error}`);
  });

  it('a large answer with no more windows than it gives', async (test) => {
    const { over } = await connectRaw(test, async (peer) => {
      const call = await takeCall(peer);
      let window = ONE_STREAM_WINDOW;
      peer.onFrame(({ type, streamId, payload }) => {
        if (type === FRAME.windowUpdate && streamId === call.streamId) window += payload.readUInt32BE();
      });
      const bytes = message('z'.repeat(5_000_000));
      peer.send(head(call.streamId));
      for (let at = 0; at < bytes.length; ) {
        await until('a window', () => window > 0);
        const size = Math.min(window, MAX_FRAME, bytes.length - at);
        peer.send(data(call.streamId, bytes.subarray(at, at + size)));
        at += size;
        window -= size;
      }
      peer.send(tail(call.streamId));
    });
    assert.equal((await within('the answer', over.get('big'), 10_000)).id.length, 5_000_000);
  });

  it('more than a connection begins with, when it gives the window back', async (test) => {
    const count = 6;
    const size = 15_000_000;
    const bytes = message('z'.repeat(size));
    const { over } = await connectRaw(test, async (peer) => {
      const windows = new Map([[0, DEFAULT_WINDOW]]);
      peer.onFrame(({ type, streamId, payload }) => {
        if (type !== FRAME.windowUpdate) return;
        windows.set(streamId, (windows.get(streamId) ?? ONE_STREAM_WINDOW) + payload.readUInt32BE());
      });
      const answers = (await takeCalls(peer, count)).map(({ streamId }) => ({ streamId, bytes, at: 0 }));
      for (const { streamId } of answers) peer.send(head(streamId));
      await until('all is sent', () => {
        for (const answer of answers) sendSome(peer, answer, windows);
        return answers.every(({ at }) => at === bytes.length);
      });
      for (const { streamId } of answers) peer.send(tail(streamId));
    });
    const calls = Array.from({ length: count }, () => over.get('x'));
    for (const { id } of await within('the answers', Promise.all(calls), 10_000)) assert.equal(id.length, size);
  });

  it('padding as something that is read', async (test) => {
    const { over } = await connectRaw(test, async (peer) => {
      const call = await takeCall(peer);
      let window = ONE_STREAM_WINDOW;
      peer.onFrame(({ type, streamId, payload }) => {
        if (type === FRAME.windowUpdate && streamId === call.streamId) window += payload.readUInt32BE();
      });
      const [first, second, last] = answerTo(call);
      peer.send(first);
      for (let frames = 0; frames < 10_000; frames++) {
        await until('a window', () => window >= 257);
        peer.send(data(call.streamId, Buffer.alloc(0), { pad: 255 }));
        window -= 256;
      }
      peer.send(second, last);
    });
    assert.equal((await within('the answer', over.get('padded'), 10_000)).id, 'padded');
  });
});
