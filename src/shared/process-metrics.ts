import os from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';
import manifest from '../../package.json' with { type: 'json' };

/** Time between two looks at the event loop, in milliseconds: ten timers a second are nothing, 150 samples a scrape enough. */
const LAG_EVERY_MS = 100;

/** Gauges whose names end as those of counters do, so that Prometheus' own linter refuses them; each is also told by type. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** Adds what every program tells of itself and of its process. */
export function addProcessMetrics(registry: Registry, program: 'gateway' | 'orchestrator'): void {
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  new Gauge({
    name: 'foldforge_build_info',
    help: 'Always 1; which program this is, of which version, on which Node.js.',
    labelNames: ['program', 'version', 'node_version'],
    aggregator: 'max',
    registers,
  }).set({ program, version: manifest.version, node_version: process.versions.node }, 1);
  new Gauge({
    name: 'foldforge_memory_limit_bytes',
    help: 'Memory that the process may have: the limit of its control group, or all that the machine has.',
    aggregator: 'max',
    registers,
    collect() {
      // Without a limit Node answers with 0, or with a number that no machine has.
      const limitBytes = process.constrainedMemory() || Number.POSITIVE_INFINITY;
      this.set(Math.min(limitBytes, os.totalmem()));
    },
  });
  new Gauge({
    name: 'foldforge_heap_limit_bytes',
    help: 'Size of the JavaScript heap at which the process would end.',
    registers,
    collect() {
      this.set(getHeapStatistics().heap_size_limit);
    },
  });
  watchEventLoop(registry);
}

/**
 * Unlike the percentiles of `nodejs_eventloop_lag_*`, which have the 10 ms between two of their own samples in them, which
 * each scrape sets back, and which nobody can add up: how late something came that was due at a moment taken at random.
 */
function watchEventLoop(registry: Registry): void {
  const lag = new Histogram({
    name: 'foldforge_event_loop_lag_seconds',
    help: 'How late a timer came that was due, ten times a second: what everything in the process waits for.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  let dueAt = performance.now() + LAG_EVERY_MS;
  setInterval(() => {
    const now = performance.now();
    lag.observe(Math.max(0, now - dueAt) / 1000);
    dueAt = now + LAG_EVERY_MS;
  }, LAG_EVERY_MS).unref();
}
