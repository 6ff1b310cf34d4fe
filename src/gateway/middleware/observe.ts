import type { ServerResponse } from 'node:http';
import { type Log, withoutRedaction } from '../../shared/log.ts';
import type { Frame, Lifecycle, RequestContext } from '../context.ts';
import type { Metrics } from '../metrics.ts';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** Asked every few seconds by machines: logged only when somebody looks closely. */
const QUIET = new Set(['/v1/healthz', '/v1/readyz', '/metrics']);

interface ObserveParts {
  readonly metrics: Pick<Metrics, 'requests' | 'requestDuration'>;
  readonly log: Log;
  readonly lifecycle: Lifecycle;
}

/** What is counted and logged of a request. */
type Summary = ReturnType<typeof summarize>;

/** Counts and logs each request once, when its connection is done with it. 499: the client went away first. */
export function createObserve({ metrics, log, lifecycle }: ObserveParts): Frame {
  const lines = withoutRedaction(log);

  function record(
    { method, route, streamed, waited, broken, fields }: Summary,
    answer: ServerResponse,
    startedAt: number,
  ) {
    // A stream is over when its reader leaves: neither its end nor its lifetime says anything about the gateway.
    const answered = answer.writableFinished || streamed;
    const status = broken ?? (answered ? answer.statusCode : 499);
    const durationMs = performance.now() - startedAt;
    metrics.requests.inc({ method, path: route, status });
    if (!streamed && !waited) metrics.requestDuration.observe({ method, path: route }, durationMs / 1000);
    lines[QUIET.has(route) ? 'debug' : 'info'](
      { ...fields, method, route, status, duration_ms: Math.round(durationMs * 1000) / 1000 },
      'request',
    );
  }

  return function observe(c) {
    const startedAt = performance.now();
    const { outgoing, facts } = c.env;
    // The context goes when the handler is done with it: a stream lives for hours, and there are thousands.
    const request: { context: RequestContext | undefined; summary?: Summary } = { context: c };
    outgoing.on('close', () => record(request.summary ?? summarize(request.context!), outgoing, startedAt));
    if (lifecycle.draining) facts.headers.Connection = 'close';
    return () => {
      request.summary = summarize(request.context!);
      request.context = undefined;
    };
  };
}

function summarize(c: RequestContext) {
  const { method = '' } = c.env.incoming;
  const { route, requestId, call } = c.env.facts;
  return {
    method: METHODS.has(method) ? method : 'OTHER',
    route,
    streamed: c.env.facts.streaming === true,
    waited: c.env.facts.waiting === true,
    broken: c.env.facts.brokenBy?.status,
    fields: {
      request_id: requestId,
      principal: c.env.facts.caller?.principal,
      key_id: c.env.facts.caller?.keyId,
      trace_id: call.metadata.traceparent?.slice(3, 35),
    },
  };
}
