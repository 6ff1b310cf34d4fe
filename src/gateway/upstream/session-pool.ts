import type { ClientHttp2Stream } from 'node:http2';
import { Http2SessionManager, type Http2SessionOptions } from '@connectrpc/connect-node';

/** Streams on one connection, unless the server takes fewer: what it should allow at least (RFC 9113, section 6.5.2). */
const STREAMS_PER_CONNECTION = 100;
const SETTINGS_WAIT_MS = 1_000;

type Request = Parameters<Http2SessionManager['request']>;

interface Member {
  readonly manager: Http2SessionManager;
  open: number;
  limit: number;
  /** Settles when the server has said how many streams it takes; undefined before anybody has asked. */
  known: Promise<unknown> | undefined;
}

/**
 * As many HTTP/2 connections as the open streams need. Node keeps a stream that is over the server's limit waiting, for
 * as long as the others live; here it goes to another connection. For connect's transports, as their session manager.
 */
export function createSessionPool(endpoint: string, options: Http2SessionOptions) {
  const members: Member[] = [];

  function addMember(): Member {
    const manager = new Http2SessionManager(endpoint, options);
    const member: Member = { manager, open: 0, limit: STREAMS_PER_CONNECTION, known: undefined };
    members.push(member);
    return member;
  }

  async function ask(member: Member, ...request: Request): Promise<ClientHttp2Stream> {
    member.open++;
    const asked = member.manager.request(...request);
    // The first stream of a connection goes alone: before the server's SETTINGS have come, nobody knows its limit.
    member.known ??= asked.then(readLimit).then(
      (limit) => {
        member.limit = limit;
      },
      () => {
        member.known = undefined;
      },
    );
    try {
      const stream = await asked;
      stream.once('close', () => member.open--);
      return stream;
    } catch (error) {
      member.open--;
      throw error;
    }
  }

  return {
    authority: new URL(endpoint).origin,

    async request(...request: Request): Promise<ClientHttp2Stream> {
      for (;;) {
        const member = members.find(hasRoom) ?? addMember();
        // Not even one turn of the loop may pass between looking for room and taking it.
        if (member.known) await member.known;
        if (hasRoom(member)) return ask(member, ...request);
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

function hasRoom({ open, limit }: Member): boolean {
  return open < limit;
}

/** The limit that the server has announced on the stream's connection, or the usual one when it takes its time. */
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
  return Math.min(STREAMS_PER_CONNECTION, session?.remoteSettings.maxConcurrentStreams ?? STREAMS_PER_CONNECTION);
}
