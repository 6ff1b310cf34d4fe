import {
  Counter,
  type CounterConfiguration,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type Metric,
  Registry,
} from 'prom-client';
import { addProcessMetrics } from '../shared/process-metrics.ts';
import { ERRORS } from './errors.ts';
import { createOpenRegistry } from './open-metrics.ts';

export type Metrics = ReturnType<typeof createMetrics>;

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
  readGauge(
    {
      name: 'foldforge_gateway_http_requests_in_flight',
      help: 'Requests that are being answered now, without event streams and long polls.',
      registers,
    },
    () => open.requests - open.held,
  );
  readGauge(
    {
      name: 'foldforge_gateway_held_requests',
      help: 'Event streams and long polls that are open now: what the cap of the process counts.',
      registers,
    },
    () => open.held,
  );
  const admission = { working: () => 0, limit: () => 0 };
  readGauge(
    {
      name: 'foldforge_gateway_working_requests',
      help: 'Requests that are worked on now: what the adaptive limit counts.',
      registers,
    },
    () => admission.working(),
  );
  readGauge({ name: 'foldforge_gateway_working_requests_limit', help: 'The adaptive limit on them.', registers }, () =>
    admission.limit(),
  );
  const connections = { open: () => 0 };
  readGauge(
    { name: 'foldforge_gateway_connections', help: 'Connections of clients that are open now.', registers },
    () => connections.open(),
  );
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
    /** How many requests are worked on now, and how many may be. */
    admission,
    refusals: countBy('reason', ['overload', 'share', 'concurrency', 'rate'], {
      name: 'foldforge_gateway_refused_requests_total',
      help: 'Requests refused for the sake of others: overload, or the share, the concurrency or the rate of a principal.',
      registers,
    }),
    /** How many connections are open now. */
    connections,
    connectionRefusals: countBy('reason', ['process', 'address'], {
      name: 'foldforge_gateway_connection_refusals_total',
      help: 'Connections that were closed at once: a cap of the process or of the client address was reached.',
      registers,
    }),
    connectionCuts: countBy('reason', ['idle', 'silent', 'stalled'], {
      name: 'foldforge_gateway_connection_cuts_total',
      help: 'Connections that were cut: idle (for the sake of a new one), silent (nothing was ever asked) or stalled (nothing of an answer was taken).',
      registers,
    }),
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
    errors: countBy('code', Object.keys(ERRORS), {
      name: 'foldforge_gateway_errors_total',
      help: 'Errors that requests ended with, by code. CLIENT_CLOSED_REQUEST: the client went away first.',
      registers,
    }),
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
    upstreamRetriesRefused: new Counter({
      name: 'foldforge_gateway_upstream_retries_refused_total',
      help: 'Calls that were not made once more, because a tenth of the calls had been by then.',
      registers,
    }),
    upstreamBreakerOpenings: new Counter({
      name: 'foldforge_gateway_upstream_breaker_openings_total',
      help: 'How often the circuit of an orchestrator opened, because of bad answers.',
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
    streamRefusals: countBy('reason', ['principal', 'process', 'shutdown'], {
      name: 'foldforge_gateway_event_stream_refusals_total',
      help: 'Event streams and long polls refused: a cap of the principal or the process was reached, or a shutdown.',
      registers,
    }),
    keyLookups: countBy('result', ['hit', 'miss', 'shared', 'negative', 'checksum', 'error', 'refused', 'limited'], {
      name: 'foldforge_gateway_api_key_lookups_total',
      help: 'How credentials but the static token were resolved: hit, miss, shared (with a lookup under way), negative or checksum; error; refused (too many lookups) or limited (too many refusals of the client).',
      registers,
    }),
    artifactRecordLookups: countBy('result', ['hit', 'miss'], {
      name: 'foldforge_gateway_artifact_record_lookups_total',
      help: 'How downloads learned what is recorded of their file: hit (cache) or miss (the orchestrator was asked).',
      registers,
    }),
    dependencyUp: new Gauge({
      name: 'foldforge_gateway_dependency_up',
      help: 'Whether the probes of a dependency succeed: orchestrator, which readyz goes by, or object_store.',
      labelNames: ['dependency'],
      aggregator: 'min',
      registers,
    }),
    transfers: new Gauge({
      name: 'foldforge_gateway_object_store_transfers',
      help: 'Downloads from the object store that are open now.',
      registers,
    }),
    transfersLimit: new Gauge({
      name: 'foldforge_gateway_object_store_transfers_limit',
      help: 'Downloads that may be open, as OBJECT_STORE_MAX_TRANSFERS says.',
      registers,
    }),
    storeCircuitOpen: new Gauge({
      name: 'foldforge_gateway_object_store_circuit_open',
      help: '1 while the object store fails whatever it is asked, and is left alone but for one download a second.',
      aggregator: 'max',
      registers,
    }),
    storeDuration,
    storeBytes: new Counter({
      name: 'foldforge_gateway_object_store_received_bytes_total',
      help: 'Bytes of files that came from the object store.',
      registers,
    }),
    storeFailures: countBy(
      'reason',
      ['unreachable', 'slow', 'failed', 'denied', 'missing', 'refused', 'mismatch', 'broken', 'circuit_open'],
      {
        name: 'foldforge_gateway_object_store_failures_total',
        help: 'Downloads that failed on the side of the object store, by reason.',
        registers,
      },
    ),
    certificateExpiry: new Gauge({
      name: 'foldforge_gateway_tls_certificate_expiry_timestamp_seconds',
      help: 'When the certificate ends that clients (listener) or orchestrators are shown, since 1970; missing without one.',
      labelNames: ['certificate'],
      aggregator: 'min',
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
    stripeEvents: countBy('result', ['credited', 'replayed', 'ignored', 'refused', 'damaged', 'failed'], {
      name: 'foldforge_gateway_stripe_events_total',
      help: 'Events that came to the webhook: credited, replayed, ignored, refused, damaged or failed.',
      registers,
    }),
  };
}

/** A series that is not there before its first 1 does not rise for Prometheus, so the first failure would be missed. */
function countBy<Label extends string>(
  label: Label,
  values: readonly string[],
  configuration: CounterConfiguration<Label>,
): Counter<Label> {
  const counter = new Counter({ ...configuration, labelNames: [label] });
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

/** A gauge that is asked when it is read. */
function readGauge(configuration: GaugeConfiguration<string>, read: () => number): void {
  new Gauge({
    ...configuration,
    collect() {
      this.set(read());
    },
  });
}

/** Puts a metric into a registry whose form need not be the one that it was made for. */
function addTo<M extends Histogram>(registry: Registry, metric: M): M {
  registry.registerMetric(metric as unknown as Metric);
  return metric;
}
