import type { Log } from './log.ts';
import type { TracingConfig } from './tracing-config.ts';

/** `server` and `internal` spans continue what another process has begun; a `client` span what this one has. */
export type SpanKind = 'server' | 'client' | 'internal';
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** W3C Trace Context, as its headers say it. */
export interface TraceHeaders {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

export interface SpanEnd {
  /** Instead of the name that it was started with. */
  readonly name?: string;
  /** What is undefined is left out. */
  readonly attributes: Attributes;
  /** A word for the kind of the error (`error.type`), with which the span has failed. Never a message: those may quote secrets. */
  readonly error?: string | undefined;
}

export interface Span {
  /** What goes out with calls that are made within this span, whether or not it is recorded. */
  readonly headers: { readonly traceparent: string; readonly tracestate?: string };
  /** 16 digits of lower-case hex. */
  readonly spanId: string;
  /** Whether it is sampled. */
  readonly isRecorded: boolean;
  /** Ends it, once: what is said later changes nothing. */
  readonly end: (end: SpanEnd) => void;
}

/**
 * Makes spans. Who has a parent passes it on by hand: nothing is kept in the background, and nothing is registered
 * for the whole process.
 */
export interface Tracing {
  /** A parent that is no W3C Trace Context is none, so that the span begins a trace. */
  readonly startSpan: (name: string, kind: SpanKind, parent: TraceHeaders) => Span;
  /** Sends what is left, for at most so many milliseconds, and ends. */
  readonly close: (boundMs: number) => Promise<void>;
}

/** Undefined while tracing is off: then nothing of OpenTelemetry is loaded. */
export async function createTracing(config: TracingConfig | undefined, log: Log): Promise<Tracing | undefined> {
  if (!config) return undefined;
  const { createOpenTelemetry } = await import('./open-telemetry.ts');
  return createOpenTelemetry(config, log);
}

/** The trace that a call belongs to, and the span if there is one, as fields of a log line. */
export function traceFields({ traceparent }: TraceHeaders, span?: Pick<Span, 'spanId'>) {
  return { trace_id: traceparent?.slice(3, 35), span_id: span?.spanId };
}

/** How long a stream may say nothing before it counts as open, in milliseconds. */
export const OPENING_MS = 1_000;

/**
 * Passes messages on, and calls `end` once the stream is open: with its first message, its end or its error, or after a
 * second of silence. A span of a stream's whole life would be missing from its trace for hours.
 */
export async function* watchOpening<T>(
  messages: AsyncIterable<T>,
  end: (thrown?: unknown) => void,
): AsyncGenerator<T, void, undefined> {
  const timer = setTimeout(end, OPENING_MS);
  const settle = (thrown?: unknown) => {
    clearTimeout(timer);
    end(thrown);
  };
  try {
    for await (const message of messages) {
      settle();
      yield message;
    }
  } catch (error) {
    settle(error);
    throw error;
  } finally {
    settle();
  }
}
