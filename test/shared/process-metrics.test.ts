import assert from 'node:assert/strict';
import os from 'node:os';
import { describe, it } from 'node:test';
import { Registry } from 'prom-client';
import { addProcessMetrics } from '../../src/shared/process-metrics.ts';
import { until } from '../support/waiting.ts';

describe('what a process tells of itself', () => {
  const registry = new Registry();
  addProcessMetrics(registry, 'orchestrator');
  const read = async () => {
    const samples = [...(await registry.metrics()).matchAll(/^(\w+(?:\{.*\})?) (\S+)$/gm)];
    return new Map(samples.map(([, series, value]) => [series!, Number(value)]));
  };

  it('is how long everything in it had to wait', async () => {
    const late = async () => {
      const value = await read();
      const count = value.get('foldforge_event_loop_lag_seconds_count')!;
      return { count, overQuarter: count - value.get('foldforge_event_loop_lag_seconds_bucket{le="0.25"}')! };
    };
    await until('the first looks', async () => (await late()).count >= 2);
    const before = await late();
    const blockedUntil = performance.now() + 400;
    while (performance.now() < blockedUntil);
    await until('the next look', async () => (await late()).count > before.count);
    assert.ok((await late()).overQuarter > before.overQuarter);
  });

  it('is what it may have, and not more than there is', async () => {
    const value = await read();
    const memoryBytes = value.get('foldforge_memory_limit_bytes')!;
    assert.ok(memoryBytes > value.get('process_resident_memory_bytes')! && memoryBytes <= os.totalmem());
    assert.ok(value.get('foldforge_heap_limit_bytes')! > value.get('nodejs_heap_size_used_bytes')!);
  });

  it('is what it is, in names that Prometheus takes', async () => {
    const series = [...(await read()).keys()];
    const own = new RegExp(
      `^foldforge_build_info{program="orchestrator",version="[\\d.]+",node_version="${process.versions.node}"}$`,
    );
    assert.equal(series.filter((name) => own.test(name)).length, 1);
    const { values } = await registry.getSingleMetric('nodejs_active_handles')!.get();
    assert.ok(Array.isArray(values));
    assert.deepEqual(
      series.filter((name) => /^nodejs_active_\w+_total/.test(name)),
      [],
    );
  });
});
