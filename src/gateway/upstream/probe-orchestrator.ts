import { HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/grpc/health/v1/health_pb.ts';
import { type Call, startDeadline } from '../context.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import { statusName } from './check-each.ts';
import type { Orchestrator } from './orchestrator.ts';
import type { Probe } from './watch-dependency.ts';

/** A list is a query, which the health service may not be. */
const PERIODS_BETWEEN_LISTS = 5;

/**
 * Asks whether the orchestrator, or one of several, and its database answer, by the standard health service, or by a cheap
 * list for an orchestrator without it. Throws GatewayErrors after `timeoutMs` at the latest.
 */
export function createOrchestratorProbe(
  orchestrator: Pick<Orchestrator, 'checkHealth' | 'listWorkflows'>,
  timeoutMs: number,
): Probe {
  let hasHealthService = true;

  async function askWith(call: Call): Promise<void> {
    // Each time: whatever is between us and an orchestrator that is started again says for a moment that it has none.
    try {
      const answer = await orchestrator.checkHealth({}, call);
      hasHealthService = true;
      if (answer.status === ServingStatus.SERVING) return;
      throw new GatewayError('UNAVAILABLE', `the orchestrator says ${statusName(answer)}`);
    } catch (error) {
      if (toGatewayError(error).code !== 'UNIMPLEMENTED') throw error;
      hasHealthService = false;
    }
    await orchestrator.listWorkflows({ pageSize: 1 }, call);
  }

  return {
    // By its deadline alone: a signal that came first would say that nobody waits any more, and nothing of the server.
    ask: (signal) => askWith({ signal, timeLeftMs: startDeadline(timeoutMs), metadata: {} }),
    restPeriods: () => (hasHealthService ? 1 : PERIODS_BETWEEN_LISTS),
  };
}
