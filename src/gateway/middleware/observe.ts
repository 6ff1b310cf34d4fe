import type { ServerResponse } from 'node:http';
import type { Log } from '../../shared/log.ts';
import type { Lifecycle, Middleware, RequestContext } from '../context.ts';
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
export function createObserve({ metrics, log, lifecycle }: ObserveParts): Middleware {
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
    log[QUIET.has(route) ? 'debug' : 'info'](
      { ...fields, method, route, status, duration_ms: Math.round(durationMs * 1000) / 1000 },
      'request',
    );
  }

  return async function observe(c, next) {
    const startedAt = performance.now();
    const { outgoing } = c.env;
    // The context goes when the handler is done with it: a stream lives for hours, and there are thousands.
    const request: { context: RequestContext | undefined; summary?: Summary } = { context: c };
    outgoing.on('close', () => record(request.summary ?? summarize(request.context!), outgoing, startedAt));
    if (lifecycle.draining) outgoing.setHeader('Connection', 'close');
    await next();
    request.summary = summarize(c);
    request.context = undefined;
  };
}

function summarize(c: RequestContext) {
  const { method = '' } = c.env.incoming;
  const { route, requestId, call } = c.var;
  return {
    method: METHODS.has(method) ? method : 'OTHER',
    route,
    streamed: c.get('streaming') === true,
    waited: c.get('waiting') === true,
    broken: c.get('brokenBy')?.status,
    fields: {
      request_id: requestId,
      principal: c.get('caller')?.principal,
      key_id: c.get('caller')?.keyId,
      trace_id: call.metadata.traceparent?.slice(3, 35),
    },
  };
}
