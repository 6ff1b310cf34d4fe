import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Metrics = ReturnType<typeof createMetrics>;

/** What `/metrics` answers with. */
export interface Exposition {
  readonly contentType: string;
  /** The text; throws when it cannot be had in time. */
  readonly read: () => Promise<string>;
}

/** What this process alone knows. */
export function exposeProcess({ registry }: Pick<Metrics, 'registry'>): Exposition {
  return { contentType: Registry.PROMETHEUS_CONTENT_TYPE, read: () => registry.metrics() };
}

/** The gateway's metrics, in a registry of their own. The first two names are promised to dashboards. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    requests: new Counter({
      name: 'foldforge_gateway_http_requests_total',
      help: 'HTTP requests by method, path template and status. 499: the client went away first.',
      labelNames: ['method', 'path', 'status'],
      registers,
    }),
    requestDuration: new Histogram({
      name: 'foldforge_gateway_http_request_duration_seconds',
      help: 'Time from request to answer, without event streams and long polls.',
      labelNames: ['method', 'path'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    openStreams: new Gauge({
      name: 'foldforge_gateway_event_streams',
      help: 'Event streams that are open now.',
      registers,
    }),
    upstreamStreams: new Gauge({
      name: 'foldforge_gateway_upstream_event_streams',
      help: 'Event streams that are open to the orchestrator now.',
      registers,
    }),
    upstreamRetries: new Counter({
      name: 'foldforge_gateway_upstream_retries_total',
      help: 'Calls that were made once more, at another orchestrator, because the first was unavailable.',
      labelNames: ['method'],
      registers,
    }),
    upstreamEndpoints: new Gauge({
      name: 'foldforge_gateway_upstream_endpoints',
      help: 'Addresses of orchestrators: connected (up), not connected (down), or left out for bad answers (ejected).',
      labelNames: ['state'],
      registers,
    }),
    streamCuts: new Counter({
      name: 'foldforge_gateway_event_stream_cuts_total',
      help: 'Event streams cut off because their reader fell behind.',
      registers,
    }),
    streamRefusals: new Counter({
      name: 'foldforge_gateway_event_stream_refusals_total',
      help: 'Event streams and long polls refused: a cap of the principal or the process was reached, or a shutdown.',
      labelNames: ['reason'],
      registers,
    }),
    keyLookups: new Counter({
      name: 'foldforge_gateway_api_key_lookups_total',
      help: 'How API keys were resolved: hit, miss, shared (with a lookup under way), negative or checksum; and error.',
      labelNames: ['result'],
      registers,
    }),
    storeFailures: new Counter({
      name: 'foldforge_gateway_object_store_failures_total',
      help: 'Downloads that failed on the side of the object store, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    workers: new Gauge({
      name: 'foldforge_gateway_workers',
      help: 'Processes that serve requests, and have answered this scrape.',
      registers,
    }),
    workerEnds: new Counter({
      name: 'foldforge_gateway_worker_ends_total',
      help: 'Workers that ended without having been told to, and were replaced.',
      registers,
    }),
    stripeEvents: new Counter({
      name: 'foldforge_gateway_stripe_events_total',
      help: 'Events that came to the webhook: credited, replayed, ignored, refused, damaged or failed.',
      labelNames: ['result'],
      registers,
    }),
  };
}
