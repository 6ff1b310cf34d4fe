import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { Code, ConnectError } from '@connectrpc/connect';

export interface KeepaliveTiming {
  /** How long a sidecar may say nothing during a call before it is asked whether it is there, in milliseconds. */
  readonly pingAfterMs: number;
  readonly pingAnswerMs: number;
}

/**
 * The least pause between two pings in one silence: servers of gRPC hang up on those who ask more often (gRPC A8,
 * "Server Enforcement"), and whatever they send themselves starts the count anew.
 */
const NEXT_PING_MS = 5 * 60_000 + 10_000;

export interface Keepalive {
  readonly watch: (stream: ClientHttp2Stream) => void;
  readonly heard: () => void;
}

/** Breaks the connection when the sidecar does not answer while calls are open. */
export function createKeepalive(
  session: ClientHttp2Session,
  { pingAfterMs, pingAnswerMs }: KeepaliveTiming,
): Keepalive {
  let open = 0;
  let silence = 0;
  let timer: NodeJS.Timeout | undefined;

  function pingAfter(ms: number): void {
    clearTimeout(timer);
    if (open > 0 && !session.destroyed) timer = setTimeout(ping, ms).unref();
  }

  function ping(): void {
    if (session.destroyed) return;
    const asked = silence;
    timer = setTimeout(() => {
      session.destroy(new ConnectError('the sidecar does not answer', Code.Unavailable));
    }, pingAnswerMs).unref();
    session.ping((error) => {
      if (!error && asked === silence) pingAfter(NEXT_PING_MS);
    });
  }

  function heard(): void {
    silence++;
    pingAfter(pingAfterMs);
  }

  function watch(stream: ClientHttp2Stream): void {
    open++;
    heard();
    stream.once('response', heard);
    stream.once('close', () => {
      open--;
      if (open === 0) clearTimeout(timer);
    });
  }

  return { watch, heard };
}
