import type { ServerResponse } from 'node:http';
import { type Log, withoutRedaction } from '../../shared/log.ts';
import type { Frame, Lifecycle, RequestContext } from '../context.ts';
import type { Metrics } from '../metrics.ts';
import { PROBE_PATHS } from '../probe-paths.ts';
import { endRequestSpan } from './request-span.ts';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** Of a request whose trace nobody can look up. */
const NO_EXEMPLAR = {};

interface ObserveParts {
  readonly metrics: Pick<Metrics, 'requests' | 'requestDuration' | 'exemplars' | 'open'>;
  readonly log: Log;
  readonly lifecycle: Lifecycle;
}

/** What is counted and logged of a request. */
type Summary = ReturnType<typeof summarize>;

/**
 * Counts and logs each request once, and ends its span, when its connection is done with it. 499: the client went away
 * first. The span of an event stream ends when it is open: one of hours would be missing from its trace for so long, and
 * be lost with the process.
 */
export function createObserve({ metrics, log, lifecycle }: ObserveParts): Frame {
  const lines = withoutRedaction(log);

  function record(summary: Summary, answer: ServerResponse, startedAt: number) {
    const { method, route, streamed, waited, broken, spanId, quiet, fields } = summary;
    metrics.open.requests--;
    // A stream is over when its reader leaves: neither its end nor its lifetime says anything about the gateway.
    const answered = answer.writableFinished || streamed;
    const status = broken ?? (answered ? answer.statusCode : 499);
    const durationMs = performance.now() - startedAt;
    endSpan(summary, status);
    metrics.requests.inc({ method, path: route, status });
    if (!streamed && !waited) measure({ method, path: route }, durationMs / 1000, summary.exemplar);
    lines[quiet ? 'debug' : 'info'](
      { ...fields, span_id: spanId, method, route, status, duration_ms: Math.round(durationMs * 1000) / 1000 },
      'request',
    );
  }

  function measure(labels: { method: string; path: string }, value: number, exemplarLabels = NO_EXEMPLAR): void {
    if (metrics.exemplars) metrics.requestDuration.observe({ labels, value, exemplarLabels });
    else metrics.requestDuration.observe(labels, value);
  }

  return function observe(c) {
    const startedAt = performance.now();
    const { outgoing, facts } = c.env;
    // The context goes when the handler is done with it: a stream lives for hours, and there are thousands.
    const request: { context: RequestContext | undefined; summary?: Summary } = { context: c };
    metrics.open.requests++;
    outgoing.on('close', () => record(request.summary ?? summarize(request.context!), outgoing, startedAt));
    if (lifecycle.draining) facts.headers.Connection = 'close';
    return () => {
      request.summary = summarize(request.context!);
      request.context = undefined;
      if (request.summary.streamed) endSpan(request.summary, request.summary.broken ?? outgoing.statusCode);
    };
  };
}

function endSpan(summary: Summary, status: number): void {
  const { traced, method, route, fields } = summary;
  // A stream that is open does not hold on to it.
  summary.traced = undefined;
  if (!traced) return;
  const { span, incoming } = traced;
  endRequestSpan(span, { method, route, status, requestId: fields.request_id, keyId: fields.key_id, incoming });
}

function summarize(c: RequestContext) {
  const { method = '' } = c.env.incoming;
  const { route, requestId, client, call, span, quiet } = c.env.facts;
  return {
    method: METHODS.has(method) ? method : 'OTHER',
    route,
    streamed: c.env.facts.streaming === true,
    waited: c.env.facts.waiting === true,
    broken: c.env.facts.brokenBy?.status,
    traced: span && { span, incoming: c.env.incoming },
    spanId: span?.spanId,
    exemplar: span?.isRecorded ? { trace_id: span.headers.traceparent.slice(3, 35) } : undefined,
    quiet: quiet === true || PROBE_PATHS.has(route),
    fields: {
      request_id: requestId,
      client,
      principal: c.env.facts.caller?.principal,
      key_id: c.env.facts.caller?.keyId,
      trace_id: call.metadata.traceparent?.slice(3, 35),
    },
  };
}
