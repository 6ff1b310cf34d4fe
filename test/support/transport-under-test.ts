import assert from 'node:assert/strict';
import { createSecureContext } from 'node:tls';
import { create, fromBinary } from '@bufbuild/protobuf';
import { type CallOptions, ConnectError, createClient } from '@connectrpc/connect';
import type { ErrorCode } from '../../src/gateway/errors.ts';
import { fromGrpc } from '../../src/gateway/upstream/grpc-errors.ts';
import { createTransport, type TransportName } from '../../src/gateway/upstream/transport.ts';
import {
  GetWorkflowRequestSchema,
  OrchestratorService,
  type Workflow,
  WorkflowSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { type Ask, writeAsk } from './conformance-service.ts';
import { until } from './waiting.ts';

export const READ_MAX_BYTES = 32 * 1024 * 1024;
const KEEPALIVE_MS = 60_000;

/** Those on node:http2 and connect's own code, with what is known of both. */
export const isOnNodeHttp2 = (name: string) => name === 'stock' || name === 'session';

export type TransportUnderTest = Awaited<ReturnType<typeof openTransport>>;

interface Target {
  readonly port: number;
  readonly host?: string;
  readonly scheme?: 'http' | 'https';
  readonly readMaxBytes?: number;
  readonly keepaliveMs?: number;
  /** PEM of the authority that the server's certificate is from. */
  readonly ca?: string;
}

/** One of the gateway's transports to a server on this machine, with a client over it. */
export async function openTransport(
  name: TransportName,
  { port, host = 'localhost', scheme = 'http', readMaxBytes = READ_MAX_BYTES, keepaliveMs = KEEPALIVE_MS, ca }: Target,
) {
  const endpoint = `${scheme}://${host}:${port}`;
  const context = createSecureContext({ ca });
  const transport = await createTransport(name, {
    endpoint,
    keepaliveMs,
    readMaxBytes,
    ...(ca && { secureContext: () => context }),
  });
  const client = createClient(OrchestratorService, transport);

  function get(ask: Ask | string, options?: CallOptions): Promise<Workflow> {
    return client.getWorkflow({ workflowId: typeof ask === 'string' ? ask : writeAsk(ask) }, options);
  }

  async function labels(ask: Ask, options?: CallOptions): Promise<Record<string, string>> {
    return (await get(ask, options)).spec?.labels ?? {};
  }

  const stats = (key: string) => labels({ stats: key });

  return {
    client,
    get,
    labels,

    /** The call that only asks for the bytes of its answer. */
    async getBytes(ask: Ask, options: CallOptions = {}): Promise<Workflow> {
      const { signal, timeoutMs, headers } = options;
      const request = create(GetWorkflowRequestSchema, { workflowId: writeAsk(ask) });
      const method = OrchestratorService.method.getWorkflow;
      return fromBinary(WorkflowSchema, await transport.unaryBytes(method, signal, timeoutMs, headers, request));
    },

    stream: (ask: Ask, options?: CallOptions) =>
      client.streamWorkflowEvents({ workflowId: writeAsk(ask) }, options)[Symbol.asyncIterator](),

    /** Which of our connections the server sees. */
    peer: async () => (await labels({ metadata: true })).peer,

    /** What the server has counted under the key. */
    stats,

    /** Waits until the server has seen that the call is over, because it was cancelled. */
    async untilCancelled(key: string): Promise<void> {
      let last = {};
      const isOver = async () => {
        last = await stats(key);
        const { open, cancelled } = last as Record<string, string>;
        return open === '0' && cancelled === '1';
      };
      await until('the server sees the reset', isOver).catch((error: Error) => {
        throw new Error(`${error.message}; it has ${JSON.stringify(last)}`);
      });
    },

    close: () => transport.close(),
  };
}

/** The ConnectError that a call ends with. */
export async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const outcome = await call.then(
    () => assert.fail('the call succeeded'),
    (error: unknown) => error,
  );
  if (outcome instanceof ConnectError) return outcome;
  throw outcome;
}

/** Every message of a stream, by number, until its end. */
export async function drainNumbers(events: AsyncIterator<{ eventId: bigint }>): Promise<number[]> {
  const numbers: number[] = [];
  for (;;) {
    const next = await events.next();
    if (next.done) return numbers;
    numbers.push(Number(next.value.eventId));
  }
}

/** What a client of the gateway is told of a call that failed so. */
export function gatewayCode(error: ConnectError): ErrorCode {
  return fromGrpc(error, new AbortController().signal).code;
}
