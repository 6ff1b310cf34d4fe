import { type CallOptions, type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport, type GrpcTransportOptions } from '@connectrpc/connect-node';
import { OrchestratorService, type WorkflowEvent } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import type { Call } from '../context.ts';
import { GatewayError } from '../errors.ts';
import { fromGrpc } from './grpc-errors.ts';
import { createSessionPool } from './session-pool.ts';

/** Larger answers are UPSTREAM_RESPONSE_TOO_LARGE: a page of 100 workflows with all their sequences fits in. */
const READ_MAX_BYTES = 32 * 1024 * 1024;

type SessionManager = NonNullable<GrpcTransportOptions['sessionManager']>;

export type Orchestrator = ReturnType<typeof createOrchestrator>;

/**
 * The orchestrator at `endpoint` (http:// or https://). Every method throws GatewayErrors only. Unary calls get what is
 * left of the request's time as `grpc-timeout`; event streams have no deadline and connections of their own, so that
 * watchers never starve unary calls of HTTP/2 streams.
 */
export function createOrchestrator({ endpoint, keepaliveMs }: { endpoint: string; keepaliveMs: number }) {
  const unarySessions = createSessionPool(endpoint, { pingIntervalMs: keepaliveMs });
  const streamSessions = createSessionPool(endpoint, { pingIntervalMs: keepaliveMs });
  const unary = clientOver(endpoint, unarySessions);
  const streams = clientOver(endpoint, streamSessions);
  const health = createClient(Health, transportOver(endpoint, unarySessions));

  return {
    submitWorkflow: withDeadline(unary.submitWorkflow),
    acceptWorkflow: withDeadline(unary.acceptWorkflow),
    getWorkflow: withDeadline(unary.getWorkflow),
    listWorkflows: withDeadline(unary.listWorkflows),
    cancelWorkflow: withDeadline(unary.cancelWorkflow),
    retryWorkflow: withDeadline(unary.retryWorkflow),
    rankDesigns: withDeadline(unary.rankDesigns),
    authenticateApiKey: withDeadline(unary.authenticateApiKey),
    consumeQuota: withDeadline(unary.consumeQuota),
    getBalance: withDeadline(unary.getBalance),
    listLedger: withDeadline(unary.listLedger),
    grantCredits: withDeadline(unary.grantCredits),
    checkHealth: withDeadline(health.check),

    /** Ends when the orchestrator ends it. Aborting `call.signal` frees the stream; it has no deadline. */
    async *streamWorkflowEvents(
      request: Parameters<(typeof streams)['streamWorkflowEvents']>[0],
      call: Pick<Call, 'signal' | 'metadata'>,
    ): AsyncGenerator<WorkflowEvent> {
      try {
        yield* streams.streamWorkflowEvents(request, { signal: call.signal, headers: call.metadata });
      } catch (error) {
        throw fromGrpc(error, call.signal);
      }
    },

    close(): void {
      unarySessions.abort();
      streamSessions.abort();
    },
  };
}

function transportOver(baseUrl: string, sessionManager: SessionManager) {
  return createGrpcTransport({ baseUrl, sessionManager, readMaxBytes: READ_MAX_BYTES, acceptCompression: [] });
}

function clientOver(endpoint: string, session: SessionManager): Client<typeof OrchestratorService> {
  return createClient(OrchestratorService, transportOver(endpoint, session));
}

function withDeadline<Request, Response>(method: (request: Request, options?: CallOptions) => Promise<Response>) {
  return async (request: Request, call: Call): Promise<Response> => {
    const timeoutMs = Math.floor(call.timeLeftMs());
    if (timeoutMs <= 0) throw new GatewayError('DEADLINE_EXCEEDED', 'the time was up before the call was made');
    try {
      return await method(request, { signal: call.signal, timeoutMs, headers: call.metadata });
    } catch (error) {
      throw fromGrpc(error, call.signal);
    }
  };
}
