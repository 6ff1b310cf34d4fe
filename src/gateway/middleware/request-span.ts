import type { IncomingMessage } from 'node:http';
import type { Span, TraceHeaders, Tracing } from '../../shared/tracing.ts';
import { PROBE_PATHS } from '../probe-paths.ts';

/** Workflows have such ids. */
const UUID = /\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=[/?]|$)/;
const HOST = /^(\[[0-9a-f:.]{2,45}\]|[\w.-]{1,253})(?::(\d{1,5}))?$/i;

/** What a span tells of a request. */
export interface RequestFacts {
  readonly method: string;
  /** The path template, or `unmatched`. */
  readonly route: string;
  readonly status: number;
  readonly requestId: string;
  readonly keyId: string | undefined;
  readonly incoming: Pick<IncomingMessage, 'url' | 'headers' | 'httpVersion' | 'httpVersionMajor' | 'socket'>;
}

/** Begins the span of a request, within the caller's if it has one. Undefined for probes, or most spans would be theirs. */
export function startRequestSpan(tracing: Tracing, url: string, caller: TraceHeaders): Span | undefined {
  return PROBE_PATHS.has(pathOf(url)) ? undefined : tracing.startSpan('HTTP', 'server', caller);
}

/**
 * Ends it as OpenTelemetry's conventions for HTTP servers have it. Clients put their secrets in every place there is, so of
 * the request's target it tells the path of the contract, with nothing filled in but the id of a workflow.
 */
export function endRequestSpan(span: Span, { method, route, status, requestId, keyId, incoming }: RequestFacts): void {
  const [, host, port] = HOST.exec(incoming.headers.host ?? '') ?? [];
  const isKnown = route !== 'unmatched';
  const isHttp2 = incoming.httpVersionMajor === 2;
  const verb = method === 'OTHER' ? 'HTTP' : method;
  span.end({
    name: isKnown ? `${verb} ${route}` : verb,
    attributes: {
      'http.request.method': method === 'OTHER' ? '_OTHER' : method,
      'http.route': isKnown ? route : undefined,
      'http.response.status_code': status,
      // HTTP/2 is spoken over TLS alone.
      'url.scheme': isHttp2 || 'encrypted' in incoming.socket ? 'https' : 'http',
      'url.path': isKnown ? route.replace('{id}', UUID.exec(incoming.url ?? '')?.[1] ?? '{id}') : undefined,
      'server.address': host,
      'server.port': port === undefined ? undefined : Number(port),
      'network.protocol.version': isHttp2 ? '2' : incoming.httpVersion,
      'foldforge.request_id': requestId,
      'enduser.id': keyId,
    },
    error: status >= 500 ? String(status) : undefined,
  });
}

function pathOf(url: string): string {
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}
