import type { RequestContext } from '../context.ts';

/** Lets pages of other origins use the API (the Fetch standard's CORS protocol), without cookies. */
export interface AllowOrigins {
  /** Tells the browser that the page may read the answer, when its origin is allowed. */
  readonly allow: (c: RequestContext) => void;
  /** What goes with the answer to a preflight besides; undefined for any other request. */
  readonly preflightHeaders: (c: RequestContext, methods: string) => Readonly<Record<string, string>> | undefined;
}

const REQUEST_HEADERS = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Modified-Since',
  'If-None-Match',
  'If-Range',
  'Last-Event-ID',
  'Range',
  'X-Request-Id',
  'traceparent',
  'tracestate',
].join(', ');

const ANSWER_HEADERS = [
  'Accept-Ranges',
  'Allow',
  'Content-Disposition',
  'Content-Range',
  'ETag',
  'Idempotent-Replayed',
  'Last-Event-ID',
  'Link',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Repr-Digest',
  'Retry-After',
  'WWW-Authenticate',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'X-Request-Id',
].join(', ');

/** The longest that browsers remember a preflight, in seconds: Chromium's bound. */
const PREFLIGHT_MAX_AGE = '7200';

/** `origins` are exact, as browsers send them. Undefined when there is none: then no answer says anything of origins. */
export function createAllowOrigins(origins: readonly string[]): AllowOrigins | undefined {
  if (origins.length === 0) return undefined;
  const allowed = new Set(origins);
  const isAllowed = (c: RequestContext) => allowed.has(c.env.incoming.headers.origin ?? '');

  return {
    allow(c) {
      const { headers } = c.env.facts;
      // Also for the others: a cache must not give one origin what was said to another.
      headers.Vary = 'Origin';
      if (!isAllowed(c)) return;
      headers['Access-Control-Allow-Origin'] = c.env.incoming.headers.origin!;
      headers['Access-Control-Expose-Headers'] = ANSWER_HEADERS;
    },

    preflightHeaders(c, methods) {
      const isPreflight = c.env.incoming.headers['access-control-request-method'] !== undefined;
      if (!isPreflight || !isAllowed(c)) return undefined;
      return {
        'Access-Control-Allow-Methods': methods,
        'Access-Control-Allow-Headers': REQUEST_HEADERS,
        'Access-Control-Max-Age': PREFLIGHT_MAX_AGE,
      };
    },
  };
}
