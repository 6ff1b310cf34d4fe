import type { DescMethod } from '@bufbuild/protobuf';
import { OrchestratorService } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';

const { method } = OrchestratorService;

/** They change nothing. */
const READS: ReadonlySet<DescMethod> = new Set([
  method.getWorkflow,
  method.listWorkflows,
  method.rankDesigns,
  method.streamWorkflowEvents,
  method.authenticateApiKey,
  method.getBalance,
  method.listLedger,
]);

/** Once for each idempotency key, however often they are called with it. */
const KEYED: ReadonlySet<DescMethod> = new Set([method.acceptWorkflow, method.submitWorkflow, method.grantCredits]);

/** Whether a call may be made again whose answer was lost: it may have been carried out. */
export function isRepeatable(method: DescMethod, input: { readonly idempotencyKey?: string }): boolean {
  if (READS.has(method)) return true;
  return KEYED.has(method) && (input.idempotencyKey ?? '') !== '';
}
