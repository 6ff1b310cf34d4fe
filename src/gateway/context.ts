import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { Span } from '../shared/tracing.ts';
import type { GatewayError } from './errors.ts';

/** Who is calling. The static token has neither principal nor key: it sees every tenant. */
export interface Caller {
  readonly principal?: string;
  /** Lower-case hex SHA-256 of the API key. */
  readonly keyHash?: string;
  /** The key's public name, where the orchestrator tells it. */
  readonly keyId?: string;
  /** The key may read and watch, and change nothing. */
  readonly readOnly?: boolean;
  /** As this gateway last heard of it; undefined without a limit. */
  readonly quota?: Quota;
}

/** How much of a key's quota is used. */
export interface Quota {
  /** Submissions per window. */
  readonly limit: bigint;
  readonly used: bigint;
  readonly windowSeconds?: bigint;
  /** When the window ends by our clock, since 1970; undefined while none is open, or nobody tells. */
  readonly resetsAtMs?: number;
}

/** What one principal is doing. */
export interface Principal {
  /** Requests that are worked on. */
  working: number;
  /** Requests that are not over yet for the client, without event streams and long polls. */
  open: number;
  /** Requests that it may make at once, and when that was true. */
  tokens: number;
  countedAtMs: number;
}

/** What every upstream call made for one request shares. */
export interface Call {
  /** Aborted when the client has gone away. */
  readonly signal: AbortSignal;
  /** Milliseconds that are left of the request's time, which all its upstream calls share. */
  readonly timeLeftMs: () => number;
  /**
   * `x-request-id`, `traceparent` and `tracestate` (of this request's span, or as they came) and, once the caller is known,
   * `ff-principal`.
   */
  readonly metadata: Readonly<Record<string, string>>;
}

/** The clock of a request's upstream calls: it starts with the first question, so that a slow upload costs nothing. */
export function startDeadline(timeoutMs: number): Call['timeLeftMs'] {
  let deadline: number | undefined;
  return () => {
    deadline ??= performance.now() + timeoutMs;
    return deadline - performance.now();
  };
}

/** The parts of a request after the contract has been checked, with defaults filled in. */
export interface Input {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/**
 * Facts about this request, each set once by the station that learns it: what an earlier station sets, a later one may
 * rely on.
 */
export interface Facts {
  requestId: string;
  /** The client's address; behind trusted proxies it is the one that they name. */
  client: string;
  /** What goes with every answer to this request. */
  headers: Record<string, string>;
  /** The path template of the contract, or `unmatched`. */
  route: string;
  call: Call;
  caller: Caller;
  /** What the caller has under way; unset for who has no principal. */
  principal?: Principal;
  /** The request is over for its principal, though its connection is not closed. */
  leave?: () => void;
  /** The work has been done, or failed, or `waits` for something else: it takes no room any more. */
  endWork?: (outcome: GatewayError | 'waits' | undefined) => void;
  bodyBytes: Buffer;
  /** The body as JSON text, once it is known to be JSON. */
  bodyText: string;
  input: Input;
  /** Unset while tracing is off, and for probes. */
  span?: Span;
  /** The answer is an event stream. */
  streaming?: boolean;
  /** The answer waits for the workflow, so the time it takes says nothing about the gateway. */
  waiting?: boolean;
  /** Refused for its form, or for the sake of others: logged only when somebody looks closely, as strangers fill no disk. */
  quiet?: boolean;
  /** What broke the answer off after its first byte, other than the client. */
  brokenBy?: GatewayError;
}

export interface Env {
  Bindings: HttpBindings & { facts: Facts };
}

export type RequestContext = Context<Env>;
/** What a request is answered with. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Answers, or has written the answer itself. */
export type Handler = (c: RequestContext) => MaybePromise<Answer | undefined>;
type MaybePromise<Value> = Value | Promise<Value>;

/** A station on the way to the handler: it sets facts, throws or passes; it never renders. */
export type Middleware = (c: RequestContext) => void | Promise<void>;
/** What begins with a request; it answers with what is to be done when the handler has answered. */
export type Frame = (c: RequestContext) => () => void;

/** What the whole process knows: whether it is on its way out. */
export interface Lifecycle {
  draining: boolean;
}
