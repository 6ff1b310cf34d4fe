import type { Attributes, TraceHeaders, Tracing } from '../../shared/tracing.ts';

/** Ends the span with the status of the answer; without one, with what was thrown instead. */
export type EndHttpSpan = (status: number | undefined, thrown?: unknown) => void;

/** Where it is asked: host and port of an http:// or https:// URL. */
function serverOf(endpoint: string): Attributes {
  const { protocol, hostname, port } = new URL(endpoint);
  return { 'server.address': hostname, 'server.port': Number(port || (protocol === 'https:' ? '443' : '80')) };
}

/**
 * The span of one call over HTTP to somebody who is no part of FoldForge, and is not told of our trace. Undefined when
 * tracing is off.
 */
function startHttpSpan(
  tracing: Tracing,
  caller: TraceHeaders,
  name: string,
  given: () => Attributes,
): EndHttpSpan | undefined {
  if (caller.traceparent === undefined) return undefined;
  const span = tracing.startSpan(name, 'client', caller);
  return (status, thrown) => {
    const isError = thrown !== undefined || (status !== undefined && status >= 400);
    span.end({
      attributes: { ...given(), 'http.response.status_code': status },
      error: isError ? (status?.toString() ?? kindOf(thrown)) : undefined,
    });
  };
}

/** GetObject, as OpenTelemetry's conventions for S3 have it. */
export function createStoreSpans(tracing: Tracing, endpoint: string, bucket: string) {
  const server = serverOf(endpoint);
  const call = { 'rpc.system': 'aws-api', 'rpc.service': 'S3', 'rpc.method': 'GetObject' };
  return (key: string, caller: TraceHeaders): EndHttpSpan | undefined =>
    startHttpSpan(tracing, caller, 'S3/GetObject', () => ({
      ...call,
      ...server,
      'aws.s3.bucket': bucket,
      'aws.s3.key': key,
    }));
}

/** A POST to Stripe, as OpenTelemetry's conventions for HTTP clients have it. */
export function createPaymentSpans(tracing: Tracing, endpoint: string) {
  const server = serverOf(endpoint);
  return (url: string, caller: TraceHeaders): EndHttpSpan | undefined =>
    startHttpSpan(tracing, caller, 'POST', () => {
      const { origin, pathname } = new URL(url);
      return { ...server, 'http.request.method': 'POST', 'url.full': origin + pathname };
    });
}

/** A word of the system's, or of a class of errors: what others say in an error may be anything. */
function kindOf(thrown: unknown): string {
  const { code } = (thrown ?? {}) as { code?: unknown };
  if (typeof code === 'string' && /^E[A-Z]{3,20}$/.test(code)) return code;
  return thrown instanceof DOMException ? thrown.name : '_OTHER';
}
