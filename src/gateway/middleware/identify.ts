import { randomUUID } from 'node:crypto';
import type { Tracing } from '../../shared/tracing.ts';
import { type Facts, type Frame, startDeadline } from '../context.ts';
import type { ClientAddress } from '../wire/client-address.ts';
import { startRequestSpan } from './request-span.ts';

interface IdentifyParts {
  readonly timeoutMs: number;
  readonly clientAddress: Pick<ClientAddress, 'read'>;
  /** Undefined: requests have no spans. */
  readonly tracing?: Tracing | undefined;
  /** What goes with every answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * Names the request, and gives it one deadline for all its upstream calls, which are aborted when the client goes away.
 * W3C trace context travels on as it came, or with a span of ours in place of the caller's.
 */
export function createIdentify({ timeoutMs, clientAddress, tracing, headers: always }: IdentifyParts): Frame {
  return function identify(c) {
    const { incoming, outgoing } = c.env;
    const given = incoming.headers['x-request-id'];
    const requestId = typeof given === 'string' && /^[A-Za-z0-9._-]{1,128}$/.test(given) ? given : randomUUID();
    const metadata: Record<string, string> = { 'x-request-id': requestId };
    const { traceparent, tracestate } = incoming.headers;
    if (typeof traceparent === 'string' && TRACEPARENT.test(traceparent)) {
      metadata.traceparent = traceparent;
      if (typeof tracestate === 'string' && /^[\x20-\x7e]{1,512}$/.test(tracestate)) metadata.tracestate = tracestate;
    }
    const span = tracing && startRequestSpan(tracing, incoming.url ?? '', metadata);
    if (span) {
      delete metadata.tracestate;
      Object.assign(metadata, span.headers);
    }
    const gone = new AbortController();
    const leave = () => {
      if (!outgoing.writableFinished) gone.abort();
    };
    outgoing.on('close', leave);
    const headers = { ...always, 'X-Request-Id': requestId, 'Cache-Control': 'no-store' };
    const call = { signal: gone.signal, timeLeftMs: startDeadline(timeoutMs), metadata };
    // The rest is set by those who learn it.
    const facts: Partial<Facts> = {
      requestId,
      client: clientAddress.read(incoming),
      headers,
      route: 'unmatched',
      call,
    };
    if (span) facts.span = span;
    c.env.facts = facts as Facts;
    return () => {
      // A stream has made all the calls of its request; what it watches ends by itself.
      if (c.env.facts.streaming) outgoing.off('close', leave);
    };
  };
}
