import { Code, ConnectError } from '@connectrpc/connect';
import type { Channel, Waiter } from '../http2/channel.ts';
import type { Connection, Stream, StreamHandler } from '../http2/connection.ts';
import { ERROR_CODES, type StreamError } from '../http2/errors.ts';
import type { Fields } from '../http2/header-blocks.ts';
import { fromStreamError } from './status.ts';

/** How often a call is made that no server has looked at: a server that leaves says so of all that it has not begun. */
const MAX_ATTEMPTS = 5;
/** How much earlier than ours the server's clock may end a call: it then resets the stream, some without a status. */
const CLOCK_SLACK_MS = 50;
/** Node's timers fire at once beyond that: 25 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface CallParts {
  readonly channel: Channel;
  /** HPACK, for any connection. */
  readonly header: Buffer;
  /** The whole request. */
  readonly body: Buffer;
  readonly signal: AbortSignal | undefined;
  /** Undefined: as long as it takes. */
  readonly timeoutMs: number | undefined;
}

/** What comes of a call. Either `end` or `fail` is the last that is called, once. */
export interface CallHandler {
  header(fields: Fields): void;
  data(bytes: Buffer): void;
  end(trailer: Fields | undefined): void;
  fail(error: ConnectError): void;
}

export interface OpenCall {
  /** `length` bytes have been used; the server may send as many again. */
  take(length: number): void;
  /** Ends the call with this error, unless it has ended. */
  fail(error: ConnectError): void;
}

/**
 * Makes a call, on a stream of its own. The deadline and the signal end it wherever it is: in line for a connection, or
 * waiting for the answer. One that the server has not looked at is made again (RFC 9113, section 8.7).
 */
export function openCall({ channel, header, body, signal, timeoutMs }: CallParts, handler: CallHandler): OpenCall {
  let attempts = 0;
  let askedAt = 0;
  let connection: Connection | undefined;
  let stream: Stream | undefined;
  let isOver = false;

  const waiter: Waiter = {
    begin(chosen) {
      attempts++;
      askedAt = performance.now();
      connection = chosen;
      stream = chosen.open(header, body, streamHandler);
    },
    fail: (error) => finish(fromStreamError(error)),
  };
  const streamHandler: StreamHandler = {
    header: (fields) => handler.header(fields),
    data: (bytes) => handler.data(bytes),
    end(trailer) {
      if (isOver) return;
      stream = undefined;
      settle();
      handler.end(trailer);
    },
    fail(error: StreamError) {
      stream = undefined;
      if (isOver) return;
      if (error.isUnprocessed && attempts < MAX_ATTEMPTS) channel.request(waiter);
      else if (error.code === ERROR_CODES.CANCEL && performance.now() >= deadlineAt - CLOCK_SLACK_MS)
        finish(timedOut());
      else finish(fromStreamError(error));
    },
  };

  const onAbort = () => finish(ConnectError.from(signal!.reason, Code.Canceled));
  const deadlineAt = performance.now() + (timeoutMs ?? Number.POSITIVE_INFINITY);
  const onDeadline = () => {
    // Silence may mean that the server is gone.
    connection?.probe(askedAt);
    finish(timedOut());
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(onDeadline, Math.min(timeoutMs, MAX_TIMER_MS));

  function settle(): void {
    isOver = true;
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }

  function finish(error: ConnectError): void {
    if (isOver) return;
    settle();
    if (stream) connection!.cancel(stream);
    else channel.leaveLine(waiter);
    handler.fail(error);
  }

  if (signal?.aborted) onAbort();
  else {
    signal?.addEventListener('abort', onAbort, { once: true });
    channel.request(waiter);
  }

  return {
    take(length) {
      if (stream) connection!.take(stream, length);
    },
    fail: finish,
  };
}

function timedOut(): ConnectError {
  return new ConnectError('the operation timed out', Code.DeadlineExceeded);
}
