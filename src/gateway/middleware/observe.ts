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

/** Counts and logs each request once, when its connection is done with it. 499: the client went away first. */
export function createObserve({ metrics, log, lifecycle }: ObserveParts): Middleware {
  function record(c: RequestContext, startedAt: number): void {
    const { outgoing, incoming } = c.env;
    const { route, requestId, call } = c.var;
    // A stream is over when its reader leaves: neither its end nor its lifetime says anything about the gateway.
    const streamed = c.get('streaming') === true;
    const answered = outgoing.writableFinished || streamed;
    const status = c.get('brokenBy')?.status ?? (answered ? outgoing.statusCode : 499);
    const method = METHODS.has(incoming.method ?? '') ? incoming.method! : 'OTHER';
    const durationMs = performance.now() - startedAt;
    metrics.requests.inc({ method, path: route, status });
    if (!streamed && !c.get('waiting')) metrics.requestDuration.observe({ method, path: route }, durationMs / 1000);
    log[QUIET.has(route) ? 'debug' : 'info'](
      {
        request_id: requestId,
        method,
        route,
        status,
        duration_ms: Math.round(durationMs * 1000) / 1000,
        principal: c.get('caller')?.principal,
        trace_id: call.metadata.traceparent?.slice(3, 35),
      },
      'request',
    );
  }

  return function observe(c, next) {
    const startedAt = performance.now();
    c.env.outgoing.once('close', () => record(c, startedAt));
    if (lifecycle.draining) c.env.outgoing.setHeader('Connection', 'close');
    return next();
  };
}
