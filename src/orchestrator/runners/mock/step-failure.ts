import type { StepFault } from '../runner.ts';

/** Carries a fault of the work from where it is noticed to where the outcome is made. */
export class StepFailure extends Error {
  override readonly name = 'StepFailure';
  readonly fault: StepFault;

  constructor(fault: StepFault, options?: ErrorOptions) {
    super(fault.message, options);
    this.fault = fault;
  }
}

/** Parameters that no repetition will make right. */
export function refuse(code: 'INVALID_ARGUMENT' | 'INVALID_CONTIG' | 'INVALID_SEQUENCE', message: string): StepFailure {
  return new StepFailure({ code, message, retryable: false });
}
