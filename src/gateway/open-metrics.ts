import { type Metric, type OpenMetricsContentType, Registry } from 'prom-client';

export const OPEN_METRICS_TYPE: OpenMetricsContentType = Registry.OPENMETRICS_CONTENT_TYPE;

/** A registry of its own, because a metric can have exemplars only where OpenMetrics is the form. */
export function createOpenRegistry() {
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(OPEN_METRICS_TYPE);
  return registry;
}

/**
 * The registry's metrics as OpenMetrics. prom-client takes `_total` from the names of counters for that, and never gives it
 * back; so it gets copies.
 */
export async function readOpenMetrics(registry: Registry): Promise<string> {
  const copies = createOpenRegistry();
  for (const measured of await registry.getMetricsAsJSON()) {
    const copy = { ...measured, get: async () => copy };
    copies.registerMetric(copy as unknown as Metric);
  }
  return copies.metrics();
}
