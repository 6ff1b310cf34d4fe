import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Code } from '@connectrpc/connect';
import {
  data,
  ERROR,
  FLAG,
  FRAME,
  goAway,
  ping,
  rstStream,
  SETTING,
  settings,
  settingsAck,
  windowUpdate,
} from '../support/h2-frames.ts';
import { connectRaw } from '../support/http2-scene.ts';
import { answerTo, head, message, onCall, type RawCall, serveHonestly, takeCalls } from '../support/raw-grpc.ts';
import type { RawPeer } from '../support/raw-http2-server.ts';
import { drainNumbers, failureOf, gatewayCode } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

const limit = (streams: number) => [[SETTING.maxConcurrentStreams, streams]] as const;
const countOf = ({ received }: RawPeer, type: number) => received.filter((frame) => frame.type === type).length;
const textsOf = (count: number) => Array.from({ length: count }, (_, index) => `${index}`);

describe('direct, at the limit of streams,', () => {
  it('asks with one SETTINGS at a time, and no PING, whether the server has read of cancelled calls', async (test) => {
    const taken = Promise.withResolvers<RawPeer>();
    const { server, over } = await connectRaw(
      test,
      async (peer, index) => {
        if (index > 0) {
          peer.send(settingsAck());
          return serveHonestly(peer);
        }
        await takeCalls(peer, 8);
        taken.resolve(peer);
      },
      { settings: limit(8), acknowledges: false },
    );
    const cancel = new AbortController();
    const calls = textsOf(8).map((text) => failureOf(over.get(text, { signal: cancel.signal })));
    const peer = await within('the calls', taken.promise);
    const questions = () =>
      peer.received.filter(({ type, flags }) => type === FRAME.settings && !(flags & FLAG.ack)).length;
    peer.send(settingsAck());
    await peer.roundTrip();
    assert.equal(questions(), 1, 'the first SETTINGS of the connection');

    cancel.abort();
    for (const { code } of await within('the ends', Promise.all(calls))) assert.equal(code, Code.Canceled);
    await until('the resets', () => countOf(peer, FRAME.rstStream) === 8);
    await peer.roundTrip();
    assert.equal(questions(), 2);
    assert.equal((await within('a call meanwhile', over.get('meanwhile'))).id, 'meanwhile');
    assert.equal(countOf(peer, FRAME.headers), 8, 'no place is free');
    assert.equal(server.peers.length, 2);

    peer.send(settingsAck());
    await until('a question for the others', () => questions() === 3);
    peer.send(settingsAck());
    await peer.roundTrip();
    assert.equal(questions(), 3);
    serveHonestly(peer);
    const answers = await within('the next calls', Promise.all(textsOf(8).map((text) => over.get(text))));
    assert.equal(answers.length, 8);
    assert.ok(countOf(peer, FRAME.headers) > 8, 'places are free');
    const ownPings = peer.received.filter(({ type, flags }) => type === FRAME.ping && !(flags & FLAG.ack));
    assert.equal(ownPings.length, 0);
  });

  it('goes on trying when the server takes no further connection at first', async (test) => {
    const { server, over } = await connectRaw(
      test,
      (peer, index) => {
        if (index === 1) peer.reset();
        else if (index > 1) serveHonestly(peer);
      },
      { settings: limit(1) },
    );
    const held = failureOf(over.get('held'));
    await until('a full connection', () => server.peers[0] && countOf(server.peers[0], FRAME.headers) === 1);
    assert.equal((await within('the next call', over.get('next'))).id, 'next');
    assert.equal(server.peers.length, 3);
    over.close();
    await held;
  });

  it('opens one connection to a server that takes no streams', async (test) => {
    const { server, over } = await connectRaw(
      test,
      async (peer) => {
        serveHonestly(peer);
        // Time enough for another one.
        for (let trip = 0; trip < 50; trip++) await peer.roundTrip();
        peer.send(settings(limit(1)));
      },
      { settings: limit(0) },
    );
    assert.equal((await within('the call', over.get('patient'))).id, 'patient');
    assert.equal(server.peers.length, 1);
  });
});

describe('direct does not give a connection up', () => {
  const BIG = 'x'.repeat(1_000_000);
  const MANY = 24;
  const WIDE = 2 ** 30;

  it('when its own requests are why a PING is not answered yet', async (test) => {
    let answered = 0;
    const { server, over } = await connectRaw(
      test,
      async (peer) => {
        peer.send(windowUpdate(0, WIDE));
        onCall(peer, ({ streamId }) => {
          if (streamId !== answered) peer.send(...answerTo({ streamId, text: 'read' }));
        });
      },
      { settings: [[SETTING.initialWindowSize, WIDE]] },
    );
    assert.equal((await within('a window', over.get('first'))).id, 'read');
    const [peer] = server.peers;
    const paused = new Promise<void>((resolve) => {
      peer!.onFrame(({ type, streamId }) => {
        if (type !== FRAME.headers || streamId === 1 || answered !== 0) return;
        peer!.pause();
        answered = streamId;
        resolve();
      });
    });
    const calls = Array.from({ length: MANY }, () => over.get(BIG));
    await within('the first of them', paused);
    // More than the system takes waits at the client now. Behind the PING comes an answer, which tells that it was read.
    peer!.send(ping(Buffer.alloc(8)), ...answerTo({ streamId: answered, text: 'early' }));
    assert.equal((await within('an early answer', calls[0]!)).id, 'early');
    peer!.resume();
    for (const { id } of await within('the others', Promise.all(calls.slice(1)))) assert.equal(id, 'read');
    assert.equal(server.peers.length, 1);
  });

  it('for late answers to more than a thousand cancelled calls', async (test) => {
    const ROUNDS = 3;
    const ROUND = 400;
    const calls: RawCall[] = [];
    const { server, over } = await connectRaw(test, (peer) => onCall(peer, (call) => calls.push(call)));
    const held = over.get('held');
    await until('the call that is held', () => calls.length === 1);
    for (let round = 1; round <= ROUNDS; round++) {
      const cancel = new AbortController();
      const cancelled = textsOf(ROUND).map((text) => failureOf(over.get(text, { signal: cancel.signal })));
      await until('the calls', () => calls.length === 1 + round * ROUND);
      cancel.abort();
      await within('the ends', Promise.all(cancelled));
    }
    const [peer] = server.peers;
    await until('the resets', () => countOf(peer!, FRAME.rstStream) === ROUNDS * ROUND);
    for (const late of [calls[1]!, calls[2]!, calls.at(-1)!]) peer!.send(...answerTo(late));
    await peer!.roundTrip();
    peer!.send(...answerTo(calls[0]!));
    assert.equal((await within('the call that is held', held)).id, 'held');
    assert.equal(server.peers.length, 1);
  });
});

describe('direct does not make a call again whose answer has begun', () => {
  const refuse = ({ streamId }: RawCall) => rstStream(streamId, ERROR.refusedStream);
  const leave = () => goAway(0, ERROR.noError);

  for (const [name, end] of [
    ['REFUSED_STREAM', refuse],
    ['GOAWAY', leave],
  ] as const) {
    /** The first call is ended after some of its answer; what is asked later is answered as it should be. */
    const breakFirst = async (test: TestContext, begin: (call: RawCall) => readonly Buffer[]) => {
      let calls = 0;
      const { over } = await connectRaw(test, (peer) => {
        onCall(peer, (call) => peer.send(...(++calls === 1 ? [...begin(call), end(call)] : answerTo(call))));
      });
      return { over, count: () => calls };
    };

    it(`with half a message, at ${name}`, async (test) => {
      const { over, count } = await breakFirst(test, ({ streamId }) => [
        head(streamId),
        data(streamId, message('another').subarray(0, 8)),
      ]);
      const error = await within('the failure', failureOf(over.get('once')));
      assert.equal(gatewayCode(error), 'UNAVAILABLE', `${error}`);
      assert.equal((await within('the next call', over.get('next'))).id, 'next');
      assert.equal(count(), 2);
    });

    it(`with a message of a stream, at ${name}`, async (test) => {
      const { over, count } = await breakFirst(test, (call) => answerTo(call).slice(0, 2));
      const error = await within('the failure', failureOf(drainNumbers(over.stream({}))));
      assert.equal(gatewayCode(error), 'UNAVAILABLE', `${error}`);
      assert.equal((await within('the next call', over.get('next'))).id, 'next');
      assert.equal(count(), 2);
    });
  }
});

describe('direct', () => {
  it('takes a deadline that is further away than timers reach', async (test) => {
    const { over } = await connectRaw(test, (peer) => serveHonestly(peer));
    assert.equal((await within('the call', over.get('patient', { timeoutMs: 2 ** 31 }))).id, 'patient');
  });
});
