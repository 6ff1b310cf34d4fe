import type { Transport } from '@connectrpc/connect';
import { type RpcMethod, type RpcSpan, startRpcSpan } from '../../shared/rpc-spans.ts';
import { type Attributes, OPENING_MS, type TraceHeaders, type Tracing, watchOpening } from '../../shared/tracing.ts';
import { readEndpoints } from './endpoints.ts';

type Metadata = Parameters<Transport['unary']>[3];

/** The spans of one call: one for each time that it is made. */
export interface CallSpans {
  /** The call's metadata, with its first span in place of the caller's. */
  readonly metadata: Metadata;
  /** Ends the span with what was thrown, and begins the next one: the call is made again, with what this answers. */
  readonly again: (thrown: unknown) => Metadata;
  /** Passes on what comes of the call, which ends the span. */
  readonly cover: <T>(answer: Promise<T>) => Promise<T>;
  /**
   * The same for a stream, of which `watch` then passes the messages on: the first of them ends the span, or a second of
   * silence.
   */
  readonly open: <T>(stream: Promise<T>) => Promise<T>;
  readonly watch: <T>(messages: AsyncIterable<T>) => AsyncIterable<T>;
}

/** Undefined for a call that no request has asked for, such as a probe's: each would be a trace of its own. */
export type StartCallSpans = (method: RpcMethod, metadata: Metadata) => CallSpans | undefined;

/** Makes spans of the calls to an endpoint, as `readEndpoints` reads it. Metadata is looked at only where it is a record. */
export function createCallSpans(tracing: Tracing, endpoint: string): StartCallSpans {
  const server = serverAttributes(endpoint);

  return (method, metadata) => {
    const caller = metadata as TraceHeaders | undefined;
    if (caller?.traceparent === undefined) return undefined;
    let span: RpcSpan;
    let repetitions = -1;

    function begin(): Metadata {
      span = startRpcSpan(tracing, 'client', method, caller!);
      repetitions += 1;
      return { ...caller, ...span.headers };
    }

    function end(thrown?: unknown): void {
      span.end(thrown, { ...server, ...(repetitions > 0 && { 'foldforge.resend_count': repetitions }) });
    }

    async function settle<T>(answer: Promise<T>): Promise<T> {
      try {
        return await answer;
      } catch (error) {
        end(error);
        throw error;
      }
    }

    return {
      metadata: begin(),
      again(thrown) {
        end(thrown);
        return begin();
      },
      async cover(answer) {
        const whole = await settle(answer);
        end();
        return whole;
      },
      async open(stream) {
        // A server may send the head of its answer with the first message, which may be hours away.
        const timer = setTimeout(end, OPENING_MS);
        try {
          return await settle(stream);
        } finally {
          clearTimeout(timer);
        }
      },
      watch: (messages) => watchOpening(messages, end),
    };
  };
}

/** Of several servers it is not known which one a call goes to. */
function serverAttributes(endpoint: string): Attributes {
  const [only, ...others] = readEndpoints(endpoint);
  if (!only || others.length > 0) return {};
  const port = only.port || (only.protocol === 'https:' ? '443' : '80');
  return { 'server.address': only.hostname, 'server.port': Number(port) };
}
