import type { StepFault } from './runner.ts';

/** Carries a fault of the work from where it is noticed to where the outcome is made. */
export class StepFailure extends Error {
  override readonly name = 'StepFailure';
  readonly fault: StepFault;

  constructor(fault: StepFault, options?: ErrorOptions) {
    super(fault.message, options);
    this.fault = fault;
  }
}

type Refusal = 'INVALID_ARGUMENT' | 'INVALID_CONTIG' | 'INVALID_SEQUENCE' | 'INVALID_INPUT';

/** Parameters or inputs that no repetition will make right. */
export function refuse(code: Refusal, message: string): StepFailure {
  return new StepFailure({ code, message, retryable: false });
}

/** What took longer than its `timeout_seconds`. Another attempt would most likely, too, and is for the author to decide. */
export function timedOut(seconds: number): StepFault {
  return { code: 'TIMEOUT', message: `the step took longer than its timeout of ${seconds} s`, retryable: false };
}
