import { type Connection, mayRead } from './connection.ts';

/** Between two that are let go, and how long a network is known, in milliseconds. */
const PAUSE_MS = 25;
const KNOWN_MS = 5_000;
/** So many connections of one network that wait are no accident. */
const CROWD = 8;

export type SlowLane = ReturnType<typeof createSlowLane>;

/**
 * Where connections wait whose next packet may cost as much as a hundred requests. They are read one after the other, with time
 * for all others between, however many there are, and their networks take turns; and so are new ones of networks that have gone
 * too far, or to reconnect would be a way out.
 */
export function createSlowLane(newOnesOf: (network: string) => Iterable<Connection>) {
  /** By network, the one whose turn it is first. */
  const lanes = new Map<string | undefined, Set<Connection>>();
  /** Until when a network is known, the one that was seen last at the end. */
  const known = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;

  function wait(connection: Connection): void {
    const { network } = connection;
    connection.isHeld = true;
    lanes.set(network, (lanes.get(network) ?? new Set()).add(connection));
    if (!timer) timer = setTimeout(next, PAUSE_MS).unref();
    // Behind what Node does at the end of a message, which resumes it in a tick of its own.
    process.nextTick(process.nextTick, hold, connection);
  }

  function next(): void {
    timer = undefined;
    const connection = takeTurn();
    if (!connection) return;
    if (mayRead(connection)) connection.stream.resume();
    timer = setTimeout(next, PAUSE_MS).unref();
  }

  /** Of those that are still there. */
  function takeTurn(): Connection | undefined {
    for (const [network, lane] of lanes) {
      lanes.delete(network);
      for (const connection of lane) {
        lane.delete(connection);
        connection.isHeld = false;
        if (connection.stream.destroyed || connection.isDeaf) continue;
        if (lane.size > 0) lanes.set(network, lane);
        return connection;
      }
    }
    return undefined;
  }

  function isKnown(network: string): boolean {
    const untilMs = known.get(network);
    return untilMs !== undefined && untilMs > performance.now();
  }

  function remember(network: string): void {
    const nowMs = performance.now();
    known.delete(network);
    known.set(network, nowMs + KNOWN_MS);
    for (const [oldest, untilMs] of known) {
      if (untilMs > nowMs) return;
      known.delete(oldest);
    }
  }

  /** What comes from its network is not to be trusted for a while, and waits from the beginning. */
  function shun({ network }: Connection): void {
    if (network === undefined) return;
    if (!isKnown(network)) for (const other of newOnesOf(network)) wait(other);
    remember(network);
  }

  return {
    /** A connection that is new. */
    enter(connection: Connection): void {
      if (connection.network !== undefined && isKnown(connection.network)) wait(connection);
    },

    /** Before the next packet of a connection is read. */
    send(connection: Connection): void {
      wait(connection);
      if (lanes.get(connection.network)!.size > CROWD) shun(connection);
    },

    shun,
  };
}

function hold({ isHeld, stream }: Connection): void {
  if (isHeld) stream.pause();
}
