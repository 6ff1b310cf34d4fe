import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { it, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Connection, createConnection } from '../../../src/gateway/listener/connection.ts';
import { createSlowLane } from '../../../src/gateway/listener/slow-lane.ts';

const PAUSE_MS = 25;

function open(network: string | undefined): Connection {
  const stream = new PassThrough().resume() as unknown as Socket;
  return createConnection(stream, { bytesWritten: 0, writeQueueSize: 0 }, network);
}

async function areRead(...connections: Connection[]): Promise<boolean[]> {
  await nextTurn();
  return connections.map(({ stream, isHeld }) => {
    assert.equal(stream.isPaused(), isHeld);
    return !stream.isPaused();
  });
}

function setUp(t: TestContext, newOnes: Iterable<Connection> = []) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 1_000;
  t.mock.method(performance, 'now', () => nowMs);
  return {
    lane: createSlowLane(() => newOnes),
    pass(ms: number): void {
      nowMs += ms;
      t.mock.timers.tick(ms);
    },
  };
}

it('lets go one connection after the other', async (t) => {
  const { lane, pass } = setUp(t);
  const [one, other] = [open('a'), open('b')];
  lane.send(one);
  lane.send(other);
  assert.deepEqual(await areRead(one, other), [false, false]);
  pass(PAUSE_MS);
  assert.deepEqual(await areRead(one, other), [true, false]);
  pass(PAUSE_MS);
  assert.deepEqual(await areRead(one, other), [true, true]);
});

it('has networks take turns, however many connections they have', async (t) => {
  const { lane, pass } = setUp(t);
  const [first, second, third, other] = [open('a'), open('a'), open('a'), open('b')];
  for (const connection of [first, second, third, other]) lane.send(connection);
  pass(PAUSE_MS);
  pass(PAUSE_MS);
  assert.deepEqual(await areRead(first, second, third, other), [true, false, false, true]);
  pass(PAUSE_MS);
  pass(PAUSE_MS);
  assert.deepEqual(await areRead(second, third), [true, true]);
});

it('does not wait for one that is gone', async (t) => {
  const { lane, pass } = setUp(t);
  const [gone, other] = [open('a'), open('b')];
  lane.send(gone);
  lane.send(other);
  gone.stream.destroy();
  pass(PAUSE_MS);
  assert.deepEqual(await areRead(other), [true]);
});

it('has those wait that are new when many of their network do', async (t) => {
  const before = open('a');
  const { lane } = setUp(t, [before]);
  for (let index = 0; index < 8; index++) lane.send(open('a'));
  assert.deepEqual(await areRead(before), [true]);
  lane.send(open('a'));
  assert.deepEqual(await areRead(before), [false]);
});

it('has those of a network that has gone too far wait that are new, for a while', async (t) => {
  const before = open('a');
  const { lane, pass } = setUp(t, [before]);
  const [sender, after, stranger, proxied] = [open('a'), open('a'), open('b'), open(undefined)];
  lane.shun(sender);
  lane.shun(open(undefined));
  for (const connection of [after, stranger, proxied]) lane.enter(connection);
  assert.deepEqual(await areRead(before, after, stranger, proxied), [false, false, true, true]);
  pass(5_000);
  const later = open('a');
  lane.enter(later);
  assert.deepEqual(await areRead(later), [true]);
});
