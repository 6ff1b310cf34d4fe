import type pg from 'pg';
import type { Registry } from 'prom-client';
import { createMetrics as createGatewayMetrics } from '../../src/gateway/metrics.ts';
import { addDatabaseMetrics } from '../../src/orchestrator/database-metrics.ts';
import { createMetrics as createOrchestratorMetrics } from '../../src/orchestrator/metrics.ts';
import { createLog } from '../../src/shared/log.ts';

/** Labels that Prometheus gives to everything that it scrapes. */
const TARGET_LABELS = ['job', 'instance'];
const HISTOGRAM_SUFFIXES = ['_bucket', '_sum', '_count'];

/** What each of the programs tells, in registries that nobody feeds. */
export function createRegistries(): Readonly<Record<'gateway' | 'orchestrator', Registry>> {
  const orchestrator = createOrchestratorMetrics().registry;
  const pool = {} as pg.Pool;
  addDatabaseMetrics({ registry: orchestrator, database: { pool }, pools: {}, log: createLog('test', 'silent') });
  return { gateway: createGatewayMetrics().registry, orchestrator };
}

/** The names of all time series that Prometheus has of both programs, each with the labels that it may have. */
export function listSeries(): ReadonlyMap<string, ReadonlySet<string>> {
  const series = new Map([['up', new Set(TARGET_LABELS)]]);
  for (const registry of Object.values(createRegistries())) {
    // The package's types leave out what a metric is made of.
    for (const metric of registry.getMetricsAsArray() as unknown as { name: string; labelNames: string[] }[]) {
      const isHistogram = 'upperBounds' in metric;
      for (const suffix of isHistogram ? HISTOGRAM_SUFFIXES : ['']) {
        const own = suffix === '_bucket' ? [...metric.labelNames, 'le'] : metric.labelNames;
        const known = series.get(metric.name + suffix) ?? [];
        series.set(metric.name + suffix, new Set([...known, ...own, ...TARGET_LABELS]));
      }
    }
  }
  return series;
}
