import { Counter, type CounterConfiguration, Gauge, Histogram, type Metric, Registry } from 'prom-client';
import { addProcessMetrics } from '../shared/process-metrics.ts';
import { ERRORS } from './errors.ts';
import { createOpenRegistry, OPEN_METRICS_TYPE, readOpenMetrics } from './open-metrics.ts';

export type Metrics = ReturnType<typeof createMetrics>;

/** What `/metrics` answers with. */
export interface Exposition {
  readonly contentType: string;
  /** The text; throws when it cannot be had in time. */
  readonly read: () => Promise<string>;
  /** The same for a scraper that takes OpenMetrics, with exemplars; undefined: there are none. */
  readonly openMetrics?: Pick<Exposition, 'contentType' | 'read'>;
}

/** What this process alone knows. */
export function exposeProcess({ registry, exemplars }: Pick<Metrics, 'registry' | 'exemplars'>): Exposition {
  const openMetrics = { contentType: OPEN_METRICS_TYPE, read: () => readOpenMetrics(registry) };
  const text = { contentType: Registry.PROMETHEUS_CONTENT_TYPE, read: () => registry.metrics() };
  return { ...text, ...(exemplars && { openMetrics }) };
}

/** Seconds, for what should take milliseconds. */
const CALL_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * The gateway's metrics, in a registry of their own. The first two names are promised to dashboards. With `exemplars` the
 * duration of requests is observed with the id of a trace.
 */
export function createMetrics({ exemplars = false } = {}) {
  const registry = new Registry();
  const registers = [registry];
  addProcessMetrics(registry, 'gateway');
  const open = { requests: 0, held: 0 };
  new Gauge({
    name: 'foldforge_gateway_http_requests_in_flight',
    help: 'Requests that are being answered now, without event streams and long polls.',
    registers,
    collect() {
      this.set(open.requests - open.held);
    },
  });
  new Gauge({
    name: 'foldforge_gateway_held_requests',
    help: 'Event streams and long polls that are open now: what the cap of the process counts.',
    registers,
    collect() {
      this.set(open.held);
    },
  });
  const storeDuration = new Histogram({
    name: 'foldforge_gateway_object_store_request_duration_seconds',
    help: 'Time until the object store has begun to answer, a second attempt included, by outcome: ok or failed.',
    labelNames: ['outcome'],
    buckets: CALL_BUCKETS,
    registers,
  });
  for (const outcome of ['ok', 'failed']) storeDuration.zero({ outcome });
  return {
    registry,
    exemplars,
    /** How many requests are open now, and how many of them are event streams and long polls. */
    open,
    requests: new Counter({
      name: 'foldforge_gateway_http_requests_total',
      help: 'HTTP requests by method, path template and status. 499: the client went away first.',
      labelNames: ['method', 'path', 'status'],
      registers,
    }),
    requestDuration: addTo(
      registry,
      new Histogram({
        name: 'foldforge_gateway_http_request_duration_seconds',
        help: 'Time from request to answer, without event streams and long polls.',
        labelNames: ['method', 'path'],
        buckets: CALL_BUCKETS,
        enableExemplars: exemplars,
        registers: exemplars ? [createOpenRegistry()] : [],
      }),
    ),
    errors: startAtZero(
      new Counter({
        name: 'foldforge_gateway_errors_total',
        help: 'Errors that requests ended with, by code. CLIENT_CLOSED_REQUEST: the client went away first.',
        labelNames: ['code'],
        registers,
      }),
      'code',
      Object.keys(ERRORS),
    ),
    draining: new Gauge({
      name: 'foldforge_gateway_draining',
      help: '1 from the signal to stop until the end of the process.',
      aggregator: 'max',
      registers,
    }),
    heldLimit: new Gauge({
      name: 'foldforge_gateway_held_requests_limit',
      help: 'Event streams and long polls that may be open, as STREAM_MAX_PER_PROCESS says.',
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
    eventsSent: createTally({
      name: 'foldforge_gateway_events_sent_total',
      help: 'Server-Sent Events written to clients, without heartbeats.',
      registers,
    }),
    upstreamDuration: new Histogram({
      name: 'foldforge_gateway_upstream_request_duration_seconds',
      help: 'Time of calls to the orchestrator, by method and the code of the error that came of it, or OK.',
      labelNames: ['method', 'code'],
      buckets: CALL_BUCKETS,
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
    streamRefusals: startAtZero(
      new Counter({
        name: 'foldforge_gateway_event_stream_refusals_total',
        help: 'Event streams and long polls refused: a cap of the principal or the process was reached, or a shutdown.',
        labelNames: ['reason'],
        registers,
      }),
      'reason',
      ['principal', 'process', 'shutdown'],
    ),
    keyLookups: startAtZero(
      new Counter({
        name: 'foldforge_gateway_api_key_lookups_total',
        help: 'How API keys were resolved: hit, miss, shared (with a lookup under way), negative or checksum; and error.',
        labelNames: ['result'],
        registers,
      }),
      'result',
      ['hit', 'miss', 'shared', 'negative', 'checksum', 'error'],
    ),
    artifactRecordLookups: startAtZero(
      new Counter({
        name: 'foldforge_gateway_artifact_record_lookups_total',
        help: 'How downloads learned what is recorded of their file: hit (cache) or miss (the orchestrator was asked).',
        labelNames: ['result'],
        registers,
      }),
      'result',
      ['hit', 'miss'],
    ),
    storeDuration,
    storeBytes: new Counter({
      name: 'foldforge_gateway_object_store_received_bytes_total',
      help: 'Bytes of files that came from the object store.',
      registers,
    }),
    storeFailures: startAtZero(
      new Counter({
        name: 'foldforge_gateway_object_store_failures_total',
        help: 'Downloads that failed on the side of the object store, by reason.',
        labelNames: ['reason'],
        registers,
      }),
      'reason',
      ['unreachable', 'slow', 'failed', 'denied', 'missing', 'refused', 'mismatch', 'broken'],
    ),
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
    stripeEvents: startAtZero(
      new Counter({
        name: 'foldforge_gateway_stripe_events_total',
        help: 'Events that came to the webhook: credited, replayed, ignored, refused, damaged or failed.',
        labelNames: ['result'],
        registers,
      }),
      'result',
      ['credited', 'replayed', 'ignored', 'refused', 'damaged', 'failed'],
    ),
  };
}

/** A series that is not there before its first 1 does not rise for Prometheus, so the first failure would be missed. */
function startAtZero<Label extends string>(counter: Counter<Label>, label: Label, values: readonly string[]) {
  for (const value of values) counter.inc({ [label]: value } as Record<Label, string>, 0);
  return counter;
}

/** A counter that is a plain number until it is read, for what happens thousands of times at once. */
function createTally(configuration: CounterConfiguration<string>): { count: number } {
  const tally = { count: 0 };
  new Counter({
    ...configuration,
    collect() {
      this.reset();
      this.inc(tally.count);
    },
  });
  return tally;
}

/** Puts a metric into a registry whose form need not be the one that it was made for. */
function addTo<M extends Histogram>(registry: Registry, metric: M): M {
  registry.registerMetric(metric as unknown as Metric);
  return metric;
}
