import { HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/grpc/health/v1/health_pb.ts';
import { type Call, startDeadline } from '../context.ts';
import { toGatewayError } from '../errors.ts';
import type { Orchestrator } from './orchestrator.ts';

/** Bound of one probe. docs/operations.md tells Kubernetes to wait longer than this. */
const PROBE_TIMEOUT_MS = 3_000;

/**
 * Tells whether the orchestrator and its database answer, by the standard health service, or by a cheap list for an
 * orchestrator without it. Concurrent probes share one call, so that strangers cannot multiply them.
 */
export function createReadiness(orchestrator: Pick<Orchestrator, 'checkHealth' | 'listWorkflows'>) {
  let probe: Promise<boolean> | undefined;
  let hasHealthService = true;

  async function ask(): Promise<boolean> {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const call: Call = { signal, timeLeftMs: startDeadline(PROBE_TIMEOUT_MS), metadata: {} };
    if (hasHealthService) {
      try {
        const { status } = await orchestrator.checkHealth({}, call);
        return status === ServingStatus.SERVING;
      } catch (error) {
        if (toGatewayError(error).code !== 'UNIMPLEMENTED') return false;
        hasHealthService = false;
      }
    }
    return orchestrator.listWorkflows({ pageSize: 1 }, call).then(
      () => true,
      () => false,
    );
  }

  return {
    isReady(): Promise<boolean> {
      probe ??= ask().finally(() => {
        probe = undefined;
      });
      return probe;
    },
  };
}
