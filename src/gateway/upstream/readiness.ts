import { HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/grpc/health/v1/health_pb.ts';
import type { Log } from '../../shared/log.ts';
import { type Call, startDeadline } from '../context.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import { statusName } from './check-each.ts';
import type { Orchestrator } from './orchestrator.ts';

/** Bound of one probe. docs/operations.md tells Kubernetes to wait longer than this. */
const PROBE_TIMEOUT_MS = 3_000;

/**
 * Tells whether the orchestrator, or one of several, and its database answer, by the standard health service, or by a cheap
 * list for an orchestrator without it. Concurrent probes share one call, so that strangers cannot multiply them. When the
 * answer changes, the log says why.
 */
export function createReadiness(orchestrator: Pick<Orchestrator, 'checkHealth' | 'listWorkflows'>, log: Log) {
  let probe: Promise<boolean> | undefined;
  let hasHealthService = true;
  let wasReady: boolean | undefined;

  /** Throws what keeps it from being ready. */
  async function ask(): Promise<void> {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const call: Call = { signal, timeLeftMs: startDeadline(PROBE_TIMEOUT_MS), metadata: {} };
    if (hasHealthService) {
      try {
        const answer = await orchestrator.checkHealth({}, call);
        if (answer.status === ServingStatus.SERVING) return;
        throw new GatewayError('UNAVAILABLE', `the orchestrator says ${statusName(answer)}`);
      } catch (error) {
        if (toGatewayError(error).code !== 'UNIMPLEMENTED') throw error;
        hasHealthService = false;
      }
    }
    await orchestrator.listWorkflows({ pageSize: 1 }, call);
  }

  async function look(): Promise<boolean> {
    const fault = await ask().then(
      () => undefined,
      (error: unknown) => ({ err: error }),
    );
    const isReady = fault === undefined;
    if (isReady && wasReady === false) log.info('ready again: an orchestrator serves');
    if (fault && wasReady !== false) log.warn(fault, 'not ready: no orchestrator serves');
    wasReady = isReady;
    return isReady;
  }

  return {
    isReady(): Promise<boolean> {
      probe ??= look().finally(() => {
        probe = undefined;
      });
      return probe;
    },
  };
}
