import { type Aggregator, AggregatorRegistry, type Registry } from 'prom-client';

/** What one process has measured, in the form in which it crosses to another one. */
export type Measured = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/**
 * Where a sum would say nothing, and prom-client's own choice hides the process that is in trouble. Numbers of files are
 * limited for each process; a restart of the whole is when its oldest process started.
 */
const AGGREGATORS: Readonly<Record<string, Aggregator>> = {
  process_start_time_seconds: 'min',
  process_open_fds: 'max',
  process_max_fds: 'min',
  // Each process has connections of its own to the same addresses.
  foldforge_gateway_upstream_endpoints: 'max',
  nodejs_eventloop_lag_seconds: 'max',
  nodejs_eventloop_lag_mean_seconds: 'max',
  nodejs_eventloop_lag_stddev_seconds: 'max',
  nodejs_eventloop_lag_p50_seconds: 'max',
  nodejs_eventloop_lag_p90_seconds: 'max',
  nodejs_eventloop_lag_p99_seconds: 'max',
};

export type MergedMetrics = ReturnType<typeof createMergedMetrics>;

/**
 * The metrics of several processes as those of one. Counters and histograms never fall: of a process that does not answer,
 * or is gone, what it said last goes on counting, or each end of a process would look like a great many requests.
 */
export function createMergedMetrics() {
  const last = new Map<number, Measured>();
  let departed: Promise<Measured> = Promise.resolve([]);

  return {
    record(id: number, measured: Measured): void {
      last.set(id, measured);
    },

    /** Says that nothing will be recorded of a process any more. */
    depart(id: number): void {
      const counters = countersOf(last.get(id) ?? []);
      last.delete(id);
      departed = departed.then((sum) => merge([sum, counters]).getMetricsAsJSON());
    },

    /** Prometheus text. What the processes that are not in `answered` said is old; their gauges are left out. */
    async read(answered: ReadonlySet<number>): Promise<string> {
      const present = [...last].map(([id, measured]) => (answered.has(id) ? measured : countersOf(measured)));
      return merge([...present, await departed]).metrics();
    },
  };
}

function merge(measured: readonly Measured[]): Registry {
  return AggregatorRegistry.aggregate(measured.map((metrics) => metrics.map(prepare)));
}

function prepare(metric: Measured[number]): Measured[number] {
  const aggregator = AGGREGATORS[metric.name] ?? metric.aggregator;
  return { ...metric, aggregator, values: metric.values.filter(({ value }) => !Number.isNaN(value)) };
}

function countersOf(measured: Measured): Measured {
  // The package's types have an enumeration where its values are words.
  return measured.filter(({ type }) => ['counter', 'histogram'].includes(String(type)));
}
