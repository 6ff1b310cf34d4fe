import type { Measured, MergedMetrics } from '../gateway/merged-metrics.ts';
import type { Metrics } from '../gateway/metrics.ts';
import type { WorkerProcess } from './worker-process.ts';

/** Of a worker that does not answer within this, in milliseconds, the last answer counts. */
const ANSWER_BOUND_MS = 1_000;
/** This process among those that are measured; workers count from 1. */
const OWN_ID = 0;

/** The metrics of the workers and of this process, as one text. Concurrent scrapes share one round of questions. */
export function createScrapes(registry: Metrics['registry'], merged: MergedMetrics) {
  let round: Promise<string> | undefined;

  async function ask(workers: Iterable<WorkerProcess>): Promise<string> {
    const answered = new Set([OWN_ID]);
    await Promise.all(
      [...workers].map(async (worker) => {
        if (await worker.measure(ANSWER_BOUND_MS)) answered.add(worker.id);
      }),
    );
    merged.record(OWN_ID, await registry.getMetricsAsJSON());
    return merged.read(answered);
  }

  return {
    record: (id: number, measured: Measured) => merged.record(id, measured),
    depart: (id: number) => merged.depart(id),
    read(workers: Iterable<WorkerProcess>): Promise<string> {
      round ??= ask(workers).finally(() => {
        round = undefined;
      });
      return round;
    },
  };
}
