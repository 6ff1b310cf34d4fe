import { Code, ConnectError } from '@connectrpc/connect';
import type { OnProgress, StepJob } from '../runner.ts';
import { StepFailure, timedOut } from '../step-failure.ts';
import { faultOfCall, faultOfSidecar } from './call-faults.ts';
import { cleanText } from './clean-text.ts';
import { formatTimeout, startDeadline } from './deadline.ts';
import { protocolFailure } from './protocol-failure.ts';
import type { Call, Made, Update } from './tool.ts';

/** How long a sidecar that has answered may take to end the call before it is cut off. */
const ENDING_MS = 1_000;
const MAX_PROGRESS_CHARACTERS = 500;
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * Runs one call to its end. Throws StepFailure, with the error that tells more as its cause, or the reason of `signal` when
 * it aborts, which cancels the call.
 */
export async function callSidecar(
  call: Call,
  job: StepJob,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<Made> {
  const { tool, resources } = job;
  const ending = new AbortController();
  // An error of that code, because it decides the code of the RST_STREAM.
  const end = () => ending.abort(new ConnectError('the call is over', Code.Canceled));
  const deadline = startDeadline(resources.timeoutSeconds, end);
  signal.addEventListener('abort', end);
  try {
    signal.throwIfAborted();
    const updates = call({ signal: ending.signal, headers: headersOf(job) });
    return await readUpdates(updates[Symbol.asyncIterator](), onProgress);
  } catch (error) {
    signal.throwIfAborted();
    // Anything else is a fault of ours.
    if (!(error instanceof ConnectError)) throw error;
    const saysLate = error.code === Code.DeadlineExceeded;
    const isLate = deadline.isOver() || (saysLate && deadline.isNear());
    const fault = isLate ? timedOut(resources.timeoutSeconds) : faultOfCall(error, tool);
    throw new StepFailure(fault, { cause: error });
  } finally {
    signal.removeEventListener('abort', end);
    deadline.clear();
    end();
  }
}

/** The first result or error counts; what comes after it does not. */
async function readUpdates(updates: AsyncIterator<Update>, onProgress: OnProgress): Promise<Made> {
  for (;;) {
    const { done, value: update } = await updates.next();
    if (done) {
      throw protocolFailure('the sidecar ended the run without a result or an error', { retryable: true });
    }
    if (update.case === 'progress') {
      const { fraction, message } = update.value;
      if (Number.isNaN(fraction)) continue;
      const clamped = Math.min(1, Math.max(0, fraction));
      onProgress({ fraction: clamped, message: cleanText(message, MAX_PROGRESS_CHARACTERS) });
    } else if (update.case === 'result') {
      await letEnd(updates);
      return update.value;
    } else if (update.case === 'error') {
      await letEnd(updates);
      throw new StepFailure(faultOfSidecar(update.value));
    }
  }
}

/** A sidecar that ends the call by itself is not told that it was cancelled. */
async function letEnd(updates: AsyncIterator<Update>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ENDING_MS);
  });
  const ended = updates.next().then(
    () => {},
    () => {},
  );
  await Promise.race([ended, late]);
  clearTimeout(timer);
}

function headersOf({ requestId, traceparent, resources: { timeoutSeconds } }: StepJob): Record<string, string> {
  return {
    'x-request-id': requestId,
    ...(traceparent !== undefined && TRACEPARENT.test(traceparent) && { traceparent }),
    ...(timeoutSeconds > 0 && { 'grpc-timeout': formatTimeout(timeoutSeconds) }),
  };
}
