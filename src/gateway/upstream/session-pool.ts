import type { ClientHttp2Stream, ClientSessionOptions, Http2Session } from 'node:http2';
import type { SocketConstructorOpts } from 'node:net';
import type { ConnectionOptions, SecureContext } from 'node:tls';
import { Http2SessionManager, type Http2SessionOptions } from '@connectrpc/connect-node';

/** Streams on one connection, unless the server takes fewer: what it should allow at least (RFC 9113, section 6.5.2). */
const STREAMS_PER_CONNECTION = 100;
const SETTINGS_WAIT_MS = 1_000;
/**
 * Silence after which TCP asks whether the peer is there, 10 times, a second apart: a host that vanished without a word is
 * noticed within 25 s. HTTP/2's own pings would do the same, but many gRPC servers hang up on more than one in 5 minutes.
 * node:http2 hands this to node:net; over TLS it has no effect.
 */
const SOCKET_OPTIONS: ClientSessionOptions & SocketConstructorOpts & ConnectionOptions = {
  keepAlive: true,
  keepAliveInitialDelay: 15_000,
  // Also when the environment says otherwise.
  rejectUnauthorized: true,
};

type Request = Parameters<Http2SessionManager['request']>;

interface Member {
  readonly manager: Http2SessionManager;
  open: number;
  limit: number;
  /** While a connection is being opened: settles when the server has said how many streams it takes. */
  opening: Promise<void> | undefined;
  /** The server has said GOAWAY: what is open goes on, and nothing more is asked here. */
  leaving: boolean;
}

/**
 * As many HTTP/2 connections as the open streams need. Node keeps a stream that is over the server's limit waiting, for
 * as long as the others live; here it goes to another connection. For connect's transports, as their session manager.
 */
export function createSessionPool(endpoint: string, options: Http2SessionOptions, secureContext?: () => SecureContext) {
  const members = new Set<Member>();
  const sessions = new WeakSet<Http2Session>();
  const connectionOptions = secureContext
    ? {
        ...SOCKET_OPTIONS,
        // Read with each connection.
        get secureContext() {
          return secureContext();
        },
      }
    : SOCKET_OPTIONS;

  function addMember(): Member {
    const manager = new Http2SessionManager(endpoint, options, connectionOptions);
    const member: Member = { manager, open: 0, limit: STREAMS_PER_CONNECTION, opening: undefined, leaving: false };
    members.add(member);
    return member;
  }

  async function ask(member: Member, request: Request): Promise<ClientHttp2Stream> {
    member.open++;
    try {
      const stream = await member.manager.request(...request);
      stream.once('close', () => giveBack(member));
      watchSession(member, stream.session);
      return stream;
    } catch (error) {
      giveBack(member);
      throw error;
    }
  }

  // The manager would go on with a new connection, whose limit nobody has read: another member does that.
  function watchSession(member: Member, session: Http2Session | undefined): void {
    if (!session || sessions.has(session)) return;
    sessions.add(session);
    // The manager stops listening when it has done with a connection, and an error that nobody hears ends the process.
    session.on('error', () => undefined);
    session.once('goaway', () => {
      member.leaving = true;
      dropIfDone(member);
    });
  }

  function giveBack(member: Member): void {
    member.open--;
    dropIfDone(member);
  }

  // The manager closes the connection itself; told to do it at this moment, it leaves an error that nobody hears.
  function dropIfDone(member: Member): void {
    if (member.leaving && member.open === 0) members.delete(member);
  }

  /** Opens a connection. Before the server's SETTINGS have come nobody knows its limit, so the first stream goes alone. */
  function open(member: Member, request: Request): Promise<ClientHttp2Stream> {
    const asked = ask(member, request);
    member.opening = asked.then(readLimit).then((limit) => {
      member.limit = limit;
    });
    const settle = () => {
      member.opening = undefined;
    };
    member.opening.then(settle, settle);
    return asked;
  }

  return {
    authority: new URL(endpoint).origin,

    async request(...request: Request): Promise<ClientHttp2Stream> {
      for (;;) {
        const member = [...members].find(hasRoom) ?? addMember();
        // No turn of the loop passes between this look and what is asked.
        if (member.opening) await member.opening;
        else return isDown(member) ? open(member, request) : ask(member, request);
      }
    },

    notifyResponseByteRead(stream: ClientHttp2Stream): void {
      for (const { manager } of members) manager.notifyResponseByteRead(stream);
    },

    abort(): void {
      for (const { manager } of members) manager.abort();
    },
  };
}

function hasRoom({ open, limit, leaving }: Member): boolean {
  return open < limit && !leaving;
}

/** Whether the next stream opens a connection, to a server that may have another limit. */
function isDown({ manager }: Member): boolean {
  const state = manager.state();
  return state === 'closed' || state === 'error';
}

/** The limit that the server announces on the stream's connection; the usual one when it takes its time or hangs up. */
async function readLimit(stream: ClientHttp2Stream): Promise<number> {
  const { session } = stream;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, SETTINGS_WAIT_MS);
    const settle = () => {
      clearTimeout(timer);
      resolve();
    };
    session?.once('remoteSettings', settle);
    stream.once('close', settle);
  });
  const announced = session?.remoteSettings.maxConcurrentStreams ?? STREAMS_PER_CONNECTION;
  return Math.min(STREAMS_PER_CONNECTION, Math.max(1, announced));
}
