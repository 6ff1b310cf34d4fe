import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createConnection } from '../../../src/gateway/listener/connection.ts';
import { createConversation } from '../../../src/gateway/listener/conversation.ts';

/** A conversation on one connection, whose answers the test gives. */
function converse() {
  const connection = createConnection(
    new PassThrough() as unknown as Socket,
    { bytesWritten: 0, writeQueueSize: 0 },
    undefined,
  );
  const begun: ServerResponse[] = [];
  const nothing = () => undefined;
  const { take } = createConversation({
    connections: { find: () => connection, begin: nothing, end: nothing, leave: nothing, cut: nothing },
    slowLane: { send: nothing, shun: nothing },
    screen: nothing,
    refusals: { refuseRequest: nothing, renderFault: () => '' },
    answer: (_incoming, outgoing) => void begun.push(outgoing),
    maxRequests: 100,
    limits: { headBytes: 1, headerCount: 1, urlBytes: 1 },
  });
  function ask({ complete = true } = {}): ServerResponse {
    const request = { socket: connection.socket, complete, headers: {} };
    const incoming = Object.assign(new EventEmitter(), request) as unknown as IncomingMessage;
    const outgoing = Object.assign(new EventEmitter(), { req: incoming }) as unknown as ServerResponse;
    take(incoming, outgoing);
    return outgoing;
  }
  return { connection, begun, ask };
}

it('an idle connection does not hold on to what was said on it', async () => {
  const { connection, ask } = converse();
  const [first, second] = [ask(), ask()];
  first.emit('close');
  assert.equal(connection.latest, second);
  await nextTurn();
  second.emit('close');
  assert.deepEqual([connection.current, connection.latest], [undefined, undefined]);
  // What may be said about the rest of its body is said to it.
  const third = ask({ complete: false });
  third.emit('close');
  assert.equal(connection.latest, third);
});

it('what waits behind the last answer is not begun', async () => {
  const { connection, begun, ask } = converse();
  const first = ask();
  ask();
  connection.linger = { untilMs: 0, bytes: 0, seenBytes: -1 };
  first.emit('close');
  await nextTurn();
  assert.deepEqual(begun, [first]);
});
