import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import { data, ERROR, FRAME, goAway, headers, rstStream, SETTING, settings } from '../support/h2-frames.ts';
import { connectRaw } from '../support/http2-scene.ts';
import { answerTo, head, message, onCall, serveHonestly, TAIL, takeCall, takeCalls } from '../support/raw-grpc.ts';
import { drainNumbers, failureOf, gatewayCode } from '../support/transport-under-test.ts';
import { until, within } from '../support/waiting.ts';

describe('direct counts streams, and', () => {
  it('opens none while the server takes none', async (test) => {
    const { over, server } = await connectRaw(
      test,
      async (peer) => {
        serveHonestly(peer);
        await peer.roundTrip();
        assert.equal(peer.received.filter(({ type }) => type === FRAME.headers).length, 0);
        peer.send(settings([[SETTING.maxConcurrentStreams, 1]]));
      },
      { settings: [[SETTING.maxConcurrentStreams, 0]] },
    );
    const texts = Array.from({ length: 10 }, (_, index) => `${index}`);
    const answers = await within('the calls', Promise.all(texts.map((text) => over.get(text))));
    assert.deepEqual(
      answers.map(({ id }) => id),
      texts,
    );
    assert.ok(server.peers.length <= 10);
  });

  it('lets go of calls that wait for one', async (test) => {
    const { over, server } = await connectRaw(test, () => {}, { settings: [[SETTING.maxConcurrentStreams, 0]] });
    const cancel = new AbortController();
    const cancelled = failureOf(over.get('cancelled', { signal: cancel.signal }));
    await until('it is connected', () => server.peers.length === 1);
    const late = await within('the deadline', failureOf(over.get('late', { timeoutMs: 50 })));
    assert.equal(late.code, Code.DeadlineExceeded);
    cancel.abort();
    assert.equal((await within('the end', cancelled)).code, Code.Canceled);
    const [peer] = server.peers;
    peer!.send(settings([[SETTING.maxConcurrentStreams, 9]]));
    await peer!.roundTrip();
    assert.ok(
      peer!.received.every(({ type }) => type !== FRAME.headers),
      'nobody wants an answer any more',
    );
    peer!.send(settings([[SETTING.maxConcurrentStreams, 0]]));
    await peer!.roundTrip();
    const closed = failureOf(over.get('closed'));
    over.close();
    assert.equal(gatewayCode(await within('the end of all', closed)), 'UNAVAILABLE');
    assert.ok(server.peers.every(({ received }) => received.every(({ type }) => type !== FRAME.headers)));
  });

  it('never has more open than the server takes', async (test) => {
    const limit = 4;
    let most = 0;
    const { over } = await connectRaw(
      test,
      (peer) => {
        let open = 0;
        peer.onFrame(({ type }) => {
          if (type === FRAME.headers) most = Math.max(most, ++open);
        });
        onCall(peer, (call) => {
          setImmediate(() => {
            open--;
            peer.send(...answerTo(call));
          });
        });
      },
      { settings: [[SETTING.maxConcurrentStreams, limit]] },
    );
    const texts = Array.from({ length: 200 }, (_, index) => `${index}`);
    const answers = await within('the calls', Promise.all(texts.map((text) => over.get(text))));
    assert.deepEqual(
      answers.map(({ id }) => id),
      texts,
    );
    assert.equal(most, limit);
  });

  it('opens no more on a connection whose limit was lowered below what is open', async (test) => {
    const { over, server } = await connectRaw(test, async (peer, index) => {
      if (index > 0) return serveHonestly(peer);
      const calls = await takeCalls(peer, 3);
      peer.send(settings([[SETTING.maxConcurrentStreams, 1]]));
      await peer.roundTrip();
      const next = over.get('next');
      assert.equal((await within('the next call', next)).id, 'next');
      assert.equal(peer.received.filter(({ type }) => type === FRAME.headers).length, 3);
      for (const call of calls) peer.send(...answerTo(call));
    });
    const calls = Promise.all(['a', 'b', 'c'].map((text) => over.get(text)));
    assert.deepEqual(
      (await within('the calls', calls)).map(({ id }) => id),
      ['a', 'b', 'c'],
    );
    assert.equal(server.peers.length, 2);
  });
});

describe('direct, when the server leaves,', () => {
  it('makes the calls again that it did not begin, and lets the others end', async (test) => {
    const { over, server } = await connectRaw(test, async (peer, index) => {
      if (index > 0) return serveHonestly(peer);
      const [first, ...others] = await takeCalls(peer, 5);
      peer.send(goAway(first!.streamId, ERROR.noError));
      await until('another connection', () => server.peers.length > 1);
      peer.send(...answerTo(first!));
      assert.equal(others.length, 4);
      await peer.closed();
    });
    const texts = ['a', 'b', 'c', 'd', 'e'];
    const answers = await within('the calls', Promise.all(texts.map((text) => over.get(text))));
    assert.deepEqual(
      answers.map(({ id }) => id),
      texts,
    );
    assert.equal(server.peers.length, 2);
  });

  it('understands a GOAWAY that is followed by a lower one', async (test) => {
    const { over, server } = await connectRaw(test, async (peer, index) => {
      if (index > 0) return serveHonestly(peer);
      const [first] = await takeCalls(peer, 2);
      peer.send(goAway(2 ** 31 - 1, ERROR.noError));
      await peer.roundTrip();
      peer.send(goAway(first!.streamId, ERROR.noError), ...answerTo(first!));
    });
    const answers = await within('the calls', Promise.all(['a', 'b'].map((text) => over.get(text))));
    assert.deepEqual(
      answers.map(({ id }) => id),
      ['a', 'b'],
    );
    assert.equal(server.peers.length, 2);
  });

  it('fails what was begun when it hangs up', async (test) => {
    const { over } = await connectRaw(test, async (peer, index) => {
      if (index > 0) return serveHonestly(peer);
      const calls = await takeCalls(peer, 2);
      peer.send(goAway(calls[1]!.streamId, ERROR.noError));
      peer.end();
    });
    for (const error of await within('both', Promise.all([failureOf(over.get('a')), failureOf(over.get('b'))]))) {
      assert.equal(gatewayCode(error), 'UNAVAILABLE', `${error}`);
    }
    assert.equal((await within('the next', over.get('next'))).id, 'next');
  });

  for (const how of ['end', 'reset'] as const) {
    it(`fails its calls at once, and closes its side: ${how}`, async (test) => {
      const { over, server } = await connectRaw(test, async (peer, index) => {
        if (index > 0) return serveHonestly(peer);
        const call = await takeCall(peer);
        peer.send(head(call.streamId));
        await peer.roundTrip();
        peer[how]();
        await peer.closed();
      });
      const error = await within('the failure', failureOf(over.get('a')));
      assert.equal(gatewayCode(error), 'UNAVAILABLE', `${error}`);
      assert.equal((await within('the next', over.get('next'))).id, 'next');
      assert.equal(server.peers.length, 2);
    });
  }

  it('closes an idle connection, and opens the next one when it is needed', async (test) => {
    const { over, server } = await connectRaw(test, async (peer, index) => {
      serveHonestly(peer);
      if (index > 0) return;
      await peer.find('the trailer was sent', ({ type }) => type === FRAME.headers);
      await peer.roundTrip();
      peer.send(goAway(1, ERROR.noError));
      await peer.closed();
    });
    assert.equal((await over.get('first')).id, 'first');
    await within(
      'the client leaves',
      until('it has left', () => server.peers[0]!.isClosed()),
    );
    assert.equal((await within('the next', over.get('next'))).id, 'next');
  });

  it('makes a refused call again, on the same connection', async (test) => {
    const { over, server } = await connectRaw(test, async (peer) => {
      const call = await takeCall(peer);
      peer.send(rstStream(call.streamId, ERROR.refusedStream));
      serveHonestly(peer, [call]);
    });
    assert.equal((await within('the call', over.get('again'))).id, 'again');
    assert.equal(server.peers.length, 1);
  });

  it('does not make a call again for ever', async (test) => {
    let refused = 0;
    const { over } = await connectRaw(test, (peer) => {
      onCall(peer, ({ streamId }) => {
        refused++;
        peer.send(rstStream(streamId, ERROR.refusedStream));
      });
    });
    const error = await within('the failure', failureOf(over.get('again')));
    assert.equal(gatewayCode(error), 'UNAVAILABLE');
    assert.ok(refused > 1 && refused < 20, `${refused}`);
  });

  it('says when a stream that was begun is lost in the middle', async (test) => {
    const { over } = await connectRaw(test, async (peer, index) => {
      if (index > 0) return serveHonestly(peer);
      const call = await takeCall(peer);
      peer.send(head(call.streamId), data(call.streamId, message('')), data(call.streamId, message('')));
      await peer.roundTrip();
      peer.end();
    });
    const events = over.stream({});
    const numbers = drainNumbers(events);
    assert.equal(gatewayCode(await within('the failure', failureOf(numbers))), 'UNAVAILABLE');
  });

  it('ends a stream whose trailer came in the same packet as GOAWAY and the end', async (test) => {
    const { over } = await connectRaw(test, async (peer, index) => {
      if (index > 0) return serveHonestly(peer);
      const call = await takeCall(peer);
      const [first, second] = answerTo(call);
      peer.send(first, second, headers(call.streamId, TAIL, { end: true }), goAway(call.streamId, ERROR.noError));
      peer.end();
    });
    assert.equal((await within('the call', over.get('last words'))).id, 'last words');
    assert.equal((await within('the next', over.get('next'))).id, 'next');
  });
});
