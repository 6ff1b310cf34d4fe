import type { Socket } from 'node:net';
import type { Metrics } from '../metrics.ts';
import { networkOf, plainAddress } from '../wire/client-address.ts';
import { type Connection, closeGently, createConnection, endLinger, type Handle } from './connection.ts';

/** How often connections are looked at that take too long, in milliseconds, and how often at least within that time. */
const SWEEP_MS = 1_000;
const SWEEPS = 4;

interface ConnectionsParts {
  readonly max: number;
  readonly maxPerAddress: number;
  /** For which a client may take nothing of what waits for it, in milliseconds. */
  readonly sendTimeoutMs: number;
  /** The longest that one is without a request, whatever comes that is none, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Those of proxies are not counted. */
  readonly isTrusted: (address: string) => boolean;
  readonly metrics: Pick<Metrics, 'connections' | 'connectionRefusals' | 'connectionCuts'>;
}

export type Connections = ReturnType<typeof createConnections>;

/**
 * Knows all connections, bounds their number, in all and for each address, and cuts those whose client takes nothing. When
 * there are too many, the one goes on which nothing has been asked for the longest time: such ones cannot lock anybody out.
 */
export function createConnections(parts: ConnectionsParts) {
  const { max, maxPerAddress, sendTimeoutMs, idleTimeoutMs, isTrusted, metrics } = parts;
  const bySocket = new WeakMap<object, Connection>();
  const all = new Set<Connection>();
  /** Those without a request under way; the one that has been so for the longest time comes first. */
  const idle = new Set<Connection>();
  const perNetwork = new Map<string, number>();
  const sweepMs = Math.min(SWEEP_MS, sendTimeoutMs / SWEEPS, idleTimeoutMs / SWEEPS);
  metrics.connections.open = () => all.size;

  function drop(connection: Connection): void {
    const { network } = connection;
    if (!all.delete(connection)) return;
    idle.delete(connection);
    if (network === undefined) return;
    const left = perNetwork.get(network)! - 1;
    if (left === 0) perNetwork.delete(network);
    else perNetwork.set(network, left);
  }

  function addIdle(connection: Connection): void {
    connection.idleSinceMs = performance.now();
    idle.add(connection);
  }

  // One function for all, not one more for each of thousands of connections.
  function forget(this: Socket): void {
    drop(bySocket.get(this)!);
  }

  /** In place of the socket's own, which Node calls after the last answer. */
  function destroySoon(this: Socket): void {
    leave(bySocket.get(this)!);
  }

  function leave(connection: Connection): void {
    closeGently(connection);
    if (connection.linger && all.has(connection)) addIdle(connection);
  }

  function cut(connection: Connection, reason: 'idle' | 'stalled' | 'silent'): void {
    metrics.connectionCuts.inc({ reason });
    // It is closed a moment later, and must not be counted until then.
    drop(connection);
    connection.socket.destroy();
  }

  function roomFor(network: string | undefined): 'process' | 'address' | undefined {
    if (network !== undefined && (perNetwork.get(network) ?? 0) >= maxPerAddress) return 'address';
    if (all.size < max) return undefined;
    const [oldest] = idle;
    if (!oldest) return 'process';
    cut(oldest, 'idle');
    return undefined;
  }

  function sweep(): void {
    const nowMs = performance.now();
    for (const connection of all) {
      if (idle.has(connection)) {
        // Node's own timer is set back by empty lines, which may stand before a request.
        if (nowMs - connection.idleSinceMs > idleTimeoutMs) cut(connection, 'silent');
        else endLinger(connection, nowMs);
      } else if (isStalled(connection) && ++connection.stalls * sweepMs >= sendTimeoutMs) cut(connection, 'stalled');
    }
  }

  const timer = setInterval(sweep, sweepMs).unref();

  return {
    /** Takes a connection that was accepted, or destroys it. */
    admit(socket: Socket): Connection | undefined {
      const { remoteAddress } = socket;
      const { _handle: handle } = socket as unknown as { readonly _handle: Handle | null };
      if (remoteAddress === undefined || !handle) {
        // It has left already.
        socket.destroy();
        return undefined;
      }
      const address = plainAddress(remoteAddress);
      const network = isTrusted(address) ? undefined : networkOf(address);
      const reason = roomFor(network);
      if (reason) {
        metrics.connectionRefusals.inc({ reason });
        socket.destroy();
        return undefined;
      }
      const connection = createConnection(socket, handle, network);
      all.add(connection);
      addIdle(connection);
      if (network !== undefined) perNetwork.set(network, (perNetwork.get(network) ?? 0) + 1);
      bySocket.set(socket, connection);
      socket.destroySoon = destroySoon;
      socket.on('close', forget);
      return connection;
    },

    /** With TLS, HTTP/1.1 is spoken on another socket than the one that was accepted. */
    adopt(connection: Connection, stream: Socket): void {
      connection.stream = stream;
      bySocket.set(stream, connection);
      stream.destroySoon = destroySoon;
    },

    find: (socket: object): Connection | undefined => bySocket.get(socket),

    /** On which nothing has been asked yet. */
    newOnesOf: (network: string): Iterable<Connection> =>
      idle.values().filter((connection) => connection.network === network && connection.requests === 0),

    begin(connection: Connection): void {
      connection.underWay++;
      connection.stalls = 0;
      idle.delete(connection);
    },

    end(connection: Connection): void {
      connection.underWay--;
      if (connection.underWay === 0 && all.has(connection)) addIdle(connection);
    },

    leave,
    cut,
    close: () => clearInterval(timer),
  };
}

/** Bytes wait, and none was taken since it was last looked at. */
function isStalled(connection: Connection): boolean {
  // An event stream has a time of its own, and counts its cuts.
  if (connection.stream.timeout) return false;
  const { bytesWritten, writeQueueSize } = connection.handle;
  const taken = bytesWritten - writeQueueSize;
  if (writeQueueSize > 0 && taken === connection.taken) return true;
  connection.taken = taken;
  connection.stalls = 0;
  return false;
}
