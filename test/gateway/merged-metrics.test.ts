import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { createMergedMetrics } from '../../src/gateway/merged-metrics.ts';

/** A process with one metric of each kind. */
function createProcess() {
  const registry = new Registry();
  const registers = [registry];
  return {
    requests: new Counter({ name: 'requests_total', help: 'x', labelNames: ['path'], registers }),
    duration: new Histogram({ name: 'duration_seconds', help: 'x', buckets: [1], registers }),
    streams: new Gauge({ name: 'streams', help: 'x', registers }),
    lag: new Gauge({ name: 'nodejs_eventloop_lag_p99_seconds', help: 'x', aggregator: 'average', registers }),
    started: new Gauge({ name: 'process_start_time_seconds', help: 'x', aggregator: 'omit', registers }),
    measured: () => registry.getMetricsAsJSON(),
  };
}

const samplesOf = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe('metrics of several processes', () => {
  it('are added up, or the one that is worst', async () => {
    const [one, other] = [createProcess(), createProcess()];
    one.requests.inc({ path: '/a' }, 3);
    other.requests.inc({ path: '/a' }, 4);
    other.requests.inc({ path: '/b' }, 5);
    one.duration.observe(0.5);
    other.duration.observe(2);
    one.streams.set(6);
    other.streams.set(7);
    one.lag.set(0.01);
    other.lag.set(0.2);
    one.started.set(100);
    other.started.set(200);
    const merged = createMergedMetrics();
    merged.record(1, await one.measured());
    merged.record(2, await other.measured());
    assert.deepEqual(samplesOf(await merged.read(new Set([1, 2]))), [
      'requests_total{path="/a"} 7',
      'requests_total{path="/b"} 5',
      'duration_seconds_bucket{le="1"} 1',
      'duration_seconds_bucket{le="+Inf"} 2',
      'duration_seconds_sum 2.5',
      'duration_seconds_count 2',
      'streams 13',
      'nodejs_eventloop_lag_p99_seconds 0.2',
      'process_start_time_seconds 100',
    ]);
  });

  it('have the counters, but not the gauges, of one that is silent or gone', async () => {
    const processes = [createProcess(), createProcess(), createProcess()];
    const merged = createMergedMetrics();
    for (const [index, process] of processes.entries()) {
      process.requests.inc({ path: '/a' }, 10 ** index);
      process.duration.observe(1);
      process.streams.set(10 ** index);
      merged.record(index, await process.measured());
    }
    const read = async (...answered: number[]) => {
      const samples = samplesOf(await merged.read(new Set(answered)));
      return samples.filter((sample) => /^(requests|streams|duration_seconds_count)/.test(sample));
    };
    assert.deepEqual(await read(0, 1, 2), ['requests_total{path="/a"} 111', 'duration_seconds_count 3', 'streams 111']);
    const withoutOne = ['requests_total{path="/a"} 111', 'duration_seconds_count 3', 'streams 101'];
    assert.deepEqual(await read(0, 2), withoutOne);
    merged.depart(1);
    assert.deepEqual(await read(0, 2), withoutOne);
    merged.depart(2);
    merged.depart(7);
    assert.deepEqual(await read(0), ['requests_total{path="/a"} 111', 'duration_seconds_count 3', 'streams 1']);
    merged.record(3, await processes[1]!.measured());
    assert.deepEqual(await read(0, 3), ['requests_total{path="/a"} 121', 'duration_seconds_count 4', 'streams 11']);
  });

  it('leave out what is no number', async () => {
    const [one, other] = [createProcess(), createProcess()];
    one.lag.set(Number.NaN);
    other.lag.set(0.3);
    const merged = createMergedMetrics();
    merged.record(1, await one.measured());
    merged.record(2, await other.measured());
    const samples = samplesOf(await merged.read(new Set([1, 2])));
    assert.ok(samples.includes('nodejs_eventloop_lag_p99_seconds 0.3'));
  });
});
