import type { OnProgress, Runner, StepJob, StepOutput } from './runner.ts';
import { StepFailure } from './step-failure.ts';

/** Throws StepFailure, and the reason of an aborted `signal`. */
export type Work = (job: StepJob, onProgress: OnProgress, signal: AbortSignal) => Promise<StepOutput>;

/** What every runner does around its work: a failure becomes a value, and `close` aborts and awaits what is going on. */
export function beginRuns(work: Work, whenClosed: string): Pick<Runner, 'run' | 'close'> {
  const closing = new AbortController();
  const running = new Set<Promise<unknown>>();

  const run: Runner['run'] = async (job, onProgress, signal) => {
    const stop = AbortSignal.any([signal, closing.signal]);
    stop.throwIfAborted();
    const working = work(job, onProgress, stop);
    running.add(working);
    try {
      return { output: await working };
    } catch (error) {
      stop.throwIfAborted();
      if (error instanceof StepFailure) return { fault: error.fault };
      throw error;
    } finally {
      running.delete(working);
    }
  };

  const close = async () => {
    closing.abort(new Error(whenClosed));
    await Promise.allSettled(running);
  };

  return { run, close };
}
