import type { SecureContext } from 'node:tls';
import type { DescMessage, DescMethodUnary, MessageInitShape } from '@bufbuild/protobuf';
import { type CallOptions, createClient } from '@connectrpc/connect';
import { OrchestratorService, type WorkflowEvent } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import type { Tracing } from '../../shared/tracing.ts';
import type { Call } from '../context.ts';
import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { checkEach } from './check-each.ts';
import { fromGrpc } from './grpc-errors.ts';
import { createStandings, type Standings } from './http2/standing.ts';
import { createRetryBudget } from './retry-budget.ts';
import { createTransport, type TransportName, type TransportObserver, type UpstreamTransport } from './transport.ts';

/** Larger answers are UPSTREAM_RESPONSE_TOO_LARGE: a page of 100 workflows with all their sequences fits in. */
const READ_MAX_BYTES = 32 * 1024 * 1024;

interface OrchestratorParts {
  /** As `readEndpoints` reads it. */
  readonly endpoint: string;
  readonly transport: TransportName;
  readonly keepaliveMs: number;
  /** Time between two questions for the addresses of names that are in use. */
  readonly resolveMs: number;
  readonly observer: TransportObserver;
  readonly standings?: Standings | undefined;
  /** As TransportOptions have it. */
  readonly secureContext?: (() => SecureContext) | undefined;
  /** Undefined: calls have no spans. */
  readonly tracing?: Tracing | undefined;
  readonly metrics: Pick<Metrics, 'upstreamDuration'>;
}

export type Orchestrator = Awaited<ReturnType<typeof createOrchestrator>>;

/**
 * The orchestrator, or as many of the same kind as `endpoint` has. Every method throws GatewayErrors only. Unary calls get
 * what is left of the request's time as `grpc-timeout`; event streams have no deadline and connections of their own, so that
 * watchers never starve unary calls of HTTP/2 streams.
 */
export async function createOrchestrator({ transport, observer, metrics, ...parts }: OrchestratorParts) {
  const { onRetry, onRetryRefused, onLeftOut, onBack } = observer;
  const options = {
    ...parts,
    readMaxBytes: READ_MAX_BYTES,
    standings: parts.standings ?? createStandings(),
    retries: createRetryBudget({ onRefused: onRetryRefused }),
  };
  const call = createCall(metrics);
  const unaryTransport = await createTransport(transport, { ...options, observer });
  // Its addresses are those of the other one: they would be counted and told of twice.
  const ignore = () => {};
  const streamObserver: TransportObserver = {
    onRetry,
    onRetryRefused,
    onLeftOut,
    onBack,
    onCounts: ignore,
    onUnreachable: ignore,
    onReached: ignore,
    onUnresolved: ignore,
    onResolved: ignore,
  };
  const streamTransport = await createTransport(transport, { ...options, observer: streamObserver });
  const unary = createClient(OrchestratorService, unaryTransport);
  const streams = createClient(OrchestratorService, streamTransport);
  const health = createClient(Health, unaryTransport);

  return {
    submitWorkflow: call('SubmitWorkflow', unary.submitWorkflow),
    getWorkflow: call('GetWorkflow', unary.getWorkflow),
    listWorkflows: call('ListWorkflows', unary.listWorkflows),
    rankDesigns: call('RankDesigns', unary.rankDesigns),
    authenticateApiKey: call('AuthenticateApiKey', unary.authenticateApiKey),
    consumeQuota: call('ConsumeQuota', unary.consumeQuota),
    getBalance: call('GetBalance', unary.getBalance),
    listLedger: call('ListLedger', unary.listLedger),
    grantCredits: call('GrantCredits', unary.grantCredits),
    /** The best answer of all servers that are connected. */
    checkHealth: call('Check', (request: Parameters<typeof health.check>[0], options?: CallOptions) => {
      const servers = unaryTransport.each?.() ?? [];
      // Past the circuit breakers: what the servers say for themselves neither opens nor closes them.
      return servers.length > 0 ? checkEach(servers, request, options) : health.check(request, options);
    }),

    /** Calls that are answered with the bytes of the message. */
    bytes: {
      acceptWorkflow: call('AcceptWorkflow', bytesOf(unaryTransport, OrchestratorService.method.acceptWorkflow)),
      getWorkflow: call('GetWorkflow', bytesOf(unaryTransport, OrchestratorService.method.getWorkflow)),
      listWorkflows: call('ListWorkflows', bytesOf(unaryTransport, OrchestratorService.method.listWorkflows)),
      cancelWorkflow: call('CancelWorkflow', bytesOf(unaryTransport, OrchestratorService.method.cancelWorkflow)),
      retryWorkflow: call('RetryWorkflow', bytesOf(unaryTransport, OrchestratorService.method.retryWorkflow)),
    },

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
      unaryTransport.close();
      streamTransport.close();
    },
  };
}

function bytesOf<I extends DescMessage, O extends DescMessage>(
  transport: UpstreamTransport,
  method: DescMethodUnary<I, O>,
) {
  return (request: MessageInitShape<I>, { signal, timeoutMs, headers }: CallOptions = {}): Promise<Uint8Array> =>
    transport.unaryBytes(method, signal, timeoutMs, headers, request as MessageInitShape<DescMessage>);
}

/** Makes a method that has what is left of the request's time, and is measured under `name`. */
function createCall({ upstreamDuration }: Pick<Metrics, 'upstreamDuration'>) {
  return <Request, Response>(
    name: string,
    method: (request: Request, options?: CallOptions) => Promise<Response>,
  ): ((request: Request, call: Call) => Promise<Response>) =>
    async (request, call) => {
      const timeoutMs = Math.floor(call.timeLeftMs());
      if (timeoutMs <= 0) throw new GatewayError('DEADLINE_EXCEEDED', 'the time was up before the call was made');
      const startedMs = performance.now();
      const measure = (code: string) =>
        upstreamDuration.observe({ method: name, code }, (performance.now() - startedMs) / 1000);
      try {
        const response = await method(request, { signal: call.signal, timeoutMs, headers: call.metadata });
        measure('OK');
        return response;
      } catch (thrown) {
        const error = fromGrpc(thrown, call.signal);
        measure(error.code);
        throw error;
      }
    };
}
