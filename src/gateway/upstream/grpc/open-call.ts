import { Code, ConnectError } from '@connectrpc/connect';
import type { Connection, Stream, StreamHandler } from '../http2/connection.ts';
import { ERROR_CODES, type StreamError } from '../http2/errors.ts';
import type { Fields } from '../http2/header-blocks.ts';
import type { StreamSource, Target, Waiter } from '../http2/stream-source.ts';
import type { RetryBudget } from '../retry-budget.ts';
import { withTimeLeft } from './request-header.ts';
import { fromStreamError } from './status.ts';

/** How often a call is made that no server has looked at: a server that leaves says so of all that it has not begun. */
const MAX_ATTEMPTS = 5;
/** How much earlier than ours the server's clock may end a call: it then resets the stream, some without a status. */
const CLOCK_SLACK_MS = 50;
/** A call with less time than this is not made any more; more than this off, its `grpc-timeout` is told anew. */
const LEAST_TIME_MS = 1;
/** Node's timers fire at once beyond that: 25 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface CallParts {
  readonly source: StreamSource;
  /** HPACK, for any connection. With a `timeoutMs`, it ends in that as `grpc-timeout`. */
  readonly header: Buffer;
  /** The whole request. */
  readonly body: Buffer;
  readonly signal: AbortSignal | undefined;
  /** Undefined: as long as it takes. */
  readonly timeoutMs: number | undefined;
  /** What pays for making it again; undefined: it is made once. */
  readonly retries: RetryBudget | undefined;
  /**
   * The same call for another address, with what is left of its time in milliseconds (undefined: as long as it takes);
   * undefined when it is not to be made again.
   */
  readonly again?:
    | ((error: ConnectError, target: Target, timeLeftMs: number | undefined) => CallParts | undefined)
    | undefined;
}

/** What comes of a call. Either `end` or `fail` is the last that is called, once. */
export interface CallHandler {
  header(fields: Fields): void;
  data(bytes: Buffer, target: Target): void;
  /** `target` is who answered. */
  end(trailer: Fields | undefined, target: Target): void;
  /** `target` is who was asked, if anybody was. */
  fail(error: ConnectError, target: Target | undefined): void;
}

export interface OpenCall {
  /** `length` bytes have been used; the server may send as many again. */
  take(length: number): void;
  /** Ends the call with this error, unless it has ended. */
  fail(error: ConnectError): void;
  /** Milliseconds; undefined: as long as it takes. */
  timeLeftMs(): number | undefined;
  /** When it was sent, by performance.now(). */
  askedAt(): number;
}

/**
 * Makes a call, on a stream of its own. The deadline and the signal end it wherever it is: in line for a connection, or
 * waiting for the answer; one whose time is up is not sent. One that the server has not looked at is made again (RFC 9113,
 * section 8.7).
 */
export function openCall(
  { source, header, body, signal, timeoutMs, retries }: CallParts,
  handler: CallHandler,
): OpenCall {
  let attempts = 0;
  let askedAt = 0;
  let connection: Connection | undefined;
  let target: Target | undefined;
  let stream: Stream | undefined;
  let isOver = false;

  const waiter: Waiter = {
    begin(chosen, chosenTarget) {
      askedAt = performance.now();
      if (deadlineAt - askedAt < LEAST_TIME_MS) {
        // The timer may be late: what is left of a deadline is not worth sending.
        finish(timedOut());
        return;
      }
      attempts++;
      connection = chosen;
      target = chosenTarget;
      const own = timeoutMs === undefined ? header : inTime(header, timeoutMs, deadlineAt - askedAt);
      const { authority } = chosenTarget;
      const block = authority.length === 0 ? own : Buffer.concat([authority, own]);
      stream = chosen.open(block, body, streamHandler);
    },
    fail: (error) => finish(fromStreamError(error)),
  };
  const streamHandler: StreamHandler = {
    header: (fields) => handler.header(fields),
    data: (bytes) => handler.data(bytes, target!),
    end(trailer) {
      if (isOver) return;
      stream = undefined;
      settle();
      handler.end(trailer, target!);
    },
    fail(error: StreamError) {
      stream = undefined;
      if (isOver) return;
      if (error.isUnprocessed && attempts < MAX_ATTEMPTS && retries?.take()) {
        target = undefined;
        source.request(waiter);
      } else if (error.code === ERROR_CODES.CANCEL && performance.now() >= deadlineAt - CLOCK_SLACK_MS)
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
    else source.leaveLine(waiter);
    handler.fail(error, target);
  }

  if (signal?.aborted) onAbort();
  else {
    signal?.addEventListener('abort', onAbort, { once: true });
    source.request(waiter);
  }

  return {
    take(length) {
      if (stream) connection!.take(stream, length);
    },
    fail: finish,
    timeLeftMs: () => (timeoutMs === undefined ? undefined : deadlineAt - performance.now()),
    askedAt: () => askedAt,
  };
}

/** The header of a call that may have waited: what it says of the time must not be more than there is. */
function inTime(header: Buffer, timeoutMs: number, timeLeftMs: number): Buffer {
  return timeoutMs - timeLeftMs < LEAST_TIME_MS ? header : withTimeLeft(header, timeoutMs, timeLeftMs);
}

function timedOut(): ConnectError {
  return new ConnectError('the operation timed out', Code.DeadlineExceeded);
}
