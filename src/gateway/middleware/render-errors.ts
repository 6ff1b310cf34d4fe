import { randomUUID } from 'node:crypto';
import { RequestError } from '@hono/node-server';
import type { Log } from '../../shared/log.ts';
import { type Span, traceFields } from '../../shared/tracing.ts';
import type { Answer, Call, Facts, RequestContext } from '../context.ts';
import { errorBody, errorHeaders, GatewayError, toGatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { rateLimitHeaders } from '../wire/quota.ts';

/** What the log tells of the request that a fault belongs to. */
export interface LoggedRequest extends Pick<Facts, 'requestId' | 'route'> {
  readonly call: Pick<Call, 'metadata'>;
  readonly span?: Pick<Span, 'spanId'>;
}

/** Renders whatever was thrown: one body for every error, and from 500 on the cause goes to the log alone. */
export function createRenderErrors({ log, metrics }: { log: Log; metrics: Pick<Metrics, 'errors'> }) {
  function logFault(error: GatewayError, { requestId, route, call, span }: LoggedRequest): void {
    if (error.status < 500) return;
    const trace = traceFields(call.metadata, span);
    log.error({ request_id: requestId, ...trace, route, code: error.code, err: error }, error.message);
  }

  return {
    logFault,

    renderError(thrown: unknown, c: RequestContext): Answer {
      const error = toGatewayError(thrown);
      logFault(error, c.env.facts);
      metrics.errors.inc({ code: error.code });
      const method = c.env.incoming.method ?? 'GET';
      const body = JSON.stringify(errorBody(error, c.env.facts.requestId, method));
      return {
        status: error.status,
        headers: {
          'Content-Type': wantsProblem(c) ? 'application/problem+json' : 'application/json',
          'Content-Length': String(Buffer.byteLength(body)),
          ...errorHeaders(error, method),
          ...rateLimitHeaders(error.quota),
        },
        body,
      };
    },
  };
}

/** The answer to a request whose target or Host is not a URL, so that it never became a request to the app. */
export function renderUnreadable(cause: unknown): Response {
  const requestId = randomUUID();
  const error =
    cause instanceof RequestError
      ? new GatewayError('INVALID_ARGUMENT', 'the request target or the Host header is malformed', { cause })
      : toGatewayError(cause);
  return new Response(JSON.stringify(errorBody(error, requestId, 'GET')), {
    status: error.status,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Request-Id': requestId },
  });
}

/** RFC 9457's media type is for clients that name it. */
function wantsProblem(c: RequestContext): boolean {
  return c.env.incoming.headers.accept?.includes('application/problem+json') ?? false;
}
