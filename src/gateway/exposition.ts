import { Registry } from 'prom-client';
import type { Metrics } from './metrics.ts';
import { OPEN_METRICS_TYPE, readOpenMetrics } from './open-metrics.ts';

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
