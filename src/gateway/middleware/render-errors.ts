import { randomUUID } from 'node:crypto';
import { RequestError } from '@hono/node-server';
import type { Log } from '../../shared/log.ts';
import { type Span, traceFields } from '../../shared/tracing.ts';
import type { Answer, Call, Facts, RequestContext } from '../context.ts';
import { errorBody, errorHeaders, GatewayError, toGatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { SECURITY_HEADERS } from '../security-headers.ts';
import { rateLimitHeaders } from '../wire/quota.ts';

/** What the log tells of the request that a fault belongs to. */
export interface LoggedRequest extends Pick<Facts, 'requestId' | 'route'> {
  readonly call: Pick<Call, 'metadata'>;
  readonly span?: Pick<Span, 'spanId'>;
}

interface RenderParts {
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'errors' | 'requests'>;
  /** What goes with every answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Renders whatever was thrown: one body for every error, and from 500 on the cause goes to the log alone. */
export function createRenderErrors({ log, metrics, headers = SECURITY_HEADERS }: RenderParts) {
  function logFault(error: GatewayError, { requestId, route, call, span }: LoggedRequest): void {
    if (error.status < 500 || error.isRefusal) return;
    const trace = traceFields(call.metadata, span);
    log.error({ request_id: requestId, ...trace, route, code: error.code, err: error }, error.message);
  }

  return {
    logFault,

    renderError(thrown: unknown, c: RequestContext): Answer {
      const error = toGatewayError(thrown);
      logFault(error, c.env.facts);
      metrics.errors.inc({ code: error.code });
      if (error.isRefusal) c.env.facts.quiet = true;
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

    /** The answer to a request that hono could not make one of its own of: what the listener lets through should not be. */
    renderUnreadable(cause: unknown): Response {
      const requestId = randomUUID();
      const error =
        cause instanceof RequestError
          ? new GatewayError('INVALID_ARGUMENT', 'the request target or the Host header is malformed', { cause })
          : toGatewayError(cause);
      logFault(error, { requestId, route: 'unmatched', call: { metadata: {} } });
      metrics.errors.inc({ code: error.code });
      metrics.requests.inc({ method: 'OTHER', path: 'unmatched', status: error.status });
      return new Response(JSON.stringify(errorBody(error, requestId, 'GET')), {
        status: error.status,
        headers: {
          ...headers,
          'Content-Type': 'application/json',
          'Cache-Control': 'no-store',
          'X-Request-Id': requestId,
        },
      });
    },
  };
}

/** RFC 9457's media type is for clients that name it. */
function wantsProblem(c: RequestContext): boolean {
  return c.env.incoming.headers.accept?.includes('application/problem+json') ?? false;
}
