import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../shared/log.ts';
import { type Tracing, traceFields } from '../../shared/tracing.ts';
import type { Metrics } from '../metrics.ts';
import type { OnProgress, Runner, StepFault, StepJob, StepOutcome } from '../runners/runner.ts';
import { timedOut } from '../runners/step-failure.ts';
import { isDatabaseAway } from '../store/database.ts';
import type { StepRow } from '../store/steps.ts';
import { createProgressWriter } from './progress.ts';
import { startStepSpan } from './step-span.ts';
import { requestIdOf, type StepRef, type StepTransitions } from './step-transitions.ts';

const PROGRESS_INTERVAL_MS = 250;
const RUNNER_TRIES = 3;
const RETRY_DELAY_MS = 500;
const MAX_RETRY_DELAY_MS = 5_000;
/** 24 days, the longest that a timer can be set for: longer is for ever. */
const MAX_TIMEOUT_SECONDS = 2_147_483;

/** The two halves of one step, each of which the engine repeats until it has a result. */
export interface StepRuns {
  /** The outcome of the work, which may be a fault. Null: there is nothing left to do. Throws only when cancelled. */
  readonly run: (ref: StepRef, cancelled: AbortSignal) => Promise<StepOutcome | null>;
  readonly commit: (ref: StepRef, outcome: StepOutcome) => Promise<void>;
  /** Tells those of the steps that run in this process to stop, sooner than the queue would. */
  readonly cancel: (workflowId: string, steps: readonly Pick<StepRow, 'stepId' | 'attempt'>[]) => void;
  /** Notes which runs go on. What is answered stops those, and none that has begun since. */
  readonly seize: () => () => void;
  /** Aborts every run, which then never ends, so that another start finds it unfinished; waits for the runners. */
  readonly stop: (timeoutMs: number) => Promise<void>;
}

export interface StepRunsParts {
  readonly steps: StepTransitions;
  readonly runner: Runner;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Undefined: runs have no spans. */
  readonly tracing?: Tracing | undefined;
}

export function createStepRuns({ steps, runner, metrics, log, tracing }: StepRunsParts): StepRuns {
  const stopping = new AbortController();
  const working = new Set<Promise<unknown>>();
  /** By request id: aborts when the step is no longer to be run. */
  const superseding = new Map<string, AbortController>();

  /**
   * Runs `work` and counts it as going on. Once the program stops nothing begins any more, and what fails then never
   * ends, so that the failure is not recorded.
   */
  async function untilStopped<T>(work: () => Promise<T>): Promise<T> {
    if (stopping.signal.aborted) return await never();
    const result = work();
    const settled = result.then(
      () => {},
      () => {},
    );
    working.add(settled);
    settled.then(() => working.delete(settled));
    try {
      return await result;
    } catch (error) {
      if (stopping.signal.aborted) await never();
      throw error;
    }
  }

  /** Repeats `work` for as long as the database is away. */
  async function whenDatabaseAnswers<T>(work: () => Promise<T>): Promise<T> {
    for (let delayMs = RETRY_DELAY_MS; ; delayMs = Math.min(delayMs * 2, MAX_RETRY_DELAY_MS)) {
      try {
        return await work();
      } catch (error) {
        if (!isDatabaseAway(error)) throw error;
        log.warn({ err: error }, 'the database is away; trying again');
        await sleep(delayMs, undefined, { signal: stopping.signal });
      }
    }
  }

  async function work(ref: StepRef, cancelled: AbortSignal): Promise<StepOutcome | null> {
    const begun = await whenDatabaseAnswers(() => steps.start(ref));
    if (!begun) return null;
    const { requestId } = begun.job;
    const superseded = new AbortController();
    superseding.set(requestId, superseded);
    const write = async (fraction: number) => {
      try {
        if (!(await steps.progress(ref, fraction))) superseded.abort();
      } catch (error) {
        log.warn({ err: error, ...logFieldsOf(ref) }, 'progress was not stored');
      }
    };
    const progress = createProgressWriter(write, PROGRESS_INTERVAL_MS, begun.fraction);
    const signal = AbortSignal.any([stopping.signal, cancelled, superseded.signal]);
    const done = metrics.stepRuns();
    const span = tracing && startStepSpan(tracing, begun.job);
    const job = span ? { ...begun.job, ...span.headers } : begun.job;
    const facts = { ...logFieldsOf(ref), tool: job.tool, ...traceFields(job, span) };
    const startedMs = performance.now();
    log.debug(facts, 'a step begins');
    try {
      const outcome = await callRunner(job, ({ fraction }) => progress.report(fraction), signal);
      span?.end(outcome);
      const ms = Math.round(performance.now() - startedMs);
      if ('fault' in outcome) log.warn({ ...facts, ms, fault: outcome.fault }, 'a step has failed');
      else log.info({ ...facts, ms }, 'a step is done');
      return outcome;
    } catch (error) {
      span?.end(signal.aborted ? 'aborted' : 'broken');
      if (superseded.signal.aborted) return null;
      throw error;
    } finally {
      if (superseding.get(requestId) === superseded) superseding.delete(requestId);
      await progress.stop();
      done();
    }
  }

  async function callRunner(job: StepJob, onProgress: OnProgress, aborted: AbortSignal): Promise<StepOutcome> {
    const { timeoutSeconds } = job.resources;
    const timeout = timeoutSignal(timeoutSeconds);
    const signal = timeout ? AbortSignal.any([aborted, timeout]) : aborted;
    for (let tries = 1; ; tries++) {
      try {
        return await runner.run(job, onProgress, signal);
      } catch (error) {
        aborted.throwIfAborted();
        if (timeout?.aborted) return { fault: timedOut(timeoutSeconds) };
        log.error({ err: error, step_run: job.requestId, ...traceFields(job), tries }, 'the runner broke');
        if (tries === RUNNER_TRIES) return { fault: fault('RUNNER_BROKEN', 'the runner could not do its work') };
        await sleep(RETRY_DELAY_MS * tries, undefined, { signal: aborted });
      }
    }
  }

  async function run(ref: StepRef, cancelled: AbortSignal): Promise<StepOutcome | null> {
    try {
      return await untilStopped(() => work(ref, cancelled));
    } catch (error) {
      cancelled.throwIfAborted();
      log.error({ err: error, ...logFieldsOf(ref) }, 'a step could not be run');
      return { fault: fault('INTERNAL', 'the orchestrator could not run this step') };
    }
  }

  async function commit(ref: StepRef, outcome: StepOutcome): Promise<void> {
    const store = (storable: StepOutcome) => untilStopped(() => whenDatabaseAnswers(() => steps.finish(ref, storable)));
    try {
      await store(outcome);
    } catch (error) {
      log.error({ err: error, ...logFieldsOf(ref) }, 'the outcome of a step could not be stored');
      await store({ fault: fault('INTERNAL', 'the outcome of this step could not be stored') });
    }
  }

  const cancel: StepRuns['cancel'] = (workflowId, cancelledSteps) => {
    for (const step of cancelledSteps) superseding.get(requestIdOf({ workflowId, ...step }))?.abort();
  };

  function seize(): () => void {
    const seized = [...superseding.values()];
    return () => {
      for (const superseded of seized) superseded.abort();
    };
  }

  async function stop(timeoutMs: number): Promise<void> {
    stopping.abort();
    await Promise.race([Promise.all(working), sleep(timeoutMs, undefined, { ref: false })]);
  }

  return { run, commit, cancel, seize, stop };
}

function logFieldsOf({ workflowId, stepId, attempt }: StepRef) {
  return { workflow_id: workflowId, step_id: stepId, attempt };
}

function fault(code: string, message: string): StepFault {
  return { code, message, retryable: true };
}

function timeoutSignal(seconds: number): AbortSignal | undefined {
  return seconds > 0 && seconds <= MAX_TIMEOUT_SECONDS ? AbortSignal.timeout(seconds * 1000) : undefined;
}

function never(): Promise<never> {
  return new Promise(() => {});
}
