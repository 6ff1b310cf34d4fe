import { StepFailure } from '../step-failure.ts';

/** A sidecar that does not keep to the contract (contract/grpc, Tools and their sidecars). */
export function protocolFailure(message: string, { retryable }: { retryable: boolean }): StepFailure {
  return new StepFailure({ code: 'SIDECAR_PROTOCOL', message, retryable });
}
