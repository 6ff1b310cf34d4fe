import { once } from 'node:events';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import {
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import {
  GetWorkflowRequestSchema,
  OrchestratorService,
  StreamWorkflowEventsRequestSchema,
  WorkflowEventSchema,
  WorkflowSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { type CallFacts, createConformanceService, SENT_HEADER, SENT_TRAILER } from './conformance-service.ts';
import type { GrpcServer, GrpcServerOptions } from './grpc-servers.ts';

type UnaryCall = ServerUnaryCall<{ workflowId: string }, MessageInitShape<typeof WorkflowSchema>>;
type StreamCall = ServerWritableStream<{ workflowId: string }, MessageInitShape<typeof WorkflowEventSchema>>;

const CALL = { originalName: '', requestStream: false, requestSerialize: () => Buffer.alloc(0) } as const;
const UNARY: MethodDefinition<{ workflowId: string }, MessageInitShape<typeof WorkflowSchema>> = {
  ...CALL,
  path: `/${OrchestratorService.typeName}/GetWorkflow`,
  responseStream: false,
  requestDeserialize: (bytes) => fromBinary(GetWorkflowRequestSchema, bytes),
  responseSerialize: (answer) => Buffer.from(toBinary(WorkflowSchema, create(WorkflowSchema, answer))),
  responseDeserialize: (bytes) => fromBinary(WorkflowSchema, bytes),
};
const STREAM: MethodDefinition<{ workflowId: string }, MessageInitShape<typeof WorkflowEventSchema>> = {
  ...CALL,
  path: `/${OrchestratorService.typeName}/StreamWorkflowEvents`,
  responseStream: true,
  requestDeserialize: (bytes) => fromBinary(StreamWorkflowEventsRequestSchema, bytes),
  responseSerialize: (event) => Buffer.from(toBinary(WorkflowEventSchema, create(WorkflowEventSchema, event))),
  responseDeserialize: (bytes) => fromBinary(WorkflowEventSchema, bytes),
};

/** The conformance service on grpc-js. */
export async function startGrpcJsServer({ port = 0, maxStreams, maxAgeMs }: GrpcServerOptions): Promise<GrpcServer> {
  const service = createConformanceService();
  const server = new Server({
    ...(maxStreams !== undefined && { 'grpc.max_concurrent_streams': maxStreams }),
    ...(maxAgeMs !== undefined && { 'grpc.max_connection_age_ms': maxAgeMs }),
  });
  const handlers: UntypedServiceImplementation = {
    async getWorkflow(call: UnaryCall, callback: sendUnaryData<MessageInitShape<typeof WorkflowSchema>>) {
      const [head, tail] = metadataFor(service.wantsMetadata(call.request.workflowId));
      if (head) call.sendMetadata(head);
      try {
        const { id, labels } = await service.unary(call.request.workflowId, factsOf(call));
        callback(null, { id, ...(Object.keys(labels).length > 0 && { spec: { labels } }) }, tail);
      } catch (error) {
        callback(statusOf(error, tail));
      }
    },
    async streamWorkflowEvents(call: StreamCall) {
      const [head, tail] = metadataFor(service.wantsMetadata(call.request.workflowId));
      if (head) call.sendMetadata(head);
      const facts = factsOf(call);
      try {
        for await (const event of service.stream(call.request.workflowId, facts)) {
          if (!call.write(event)) await once(call, 'drain', { signal: facts.signal });
        }
        call.end(tail);
      } catch (error) {
        call.emit('error', statusOf(error, tail));
      }
    },
  };
  server.addService({ getWorkflow: UNARY, streamWorkflowEvents: STREAM }, handlers);
  const bound = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, got) => (error ? reject(error) : resolve(got)));
  });
  return { port: bound, close: async () => server.forceShutdown() };
}

function metadataFor(isWanted: boolean): [head: Metadata | undefined, tail: Metadata | undefined] {
  if (!isWanted) return [undefined, undefined];
  const head = new Metadata();
  head.set('x-head', SENT_HEADER.text);
  head.set('x-head-bin', SENT_HEADER.bytes);
  const tail = new Metadata();
  tail.set('x-tail', SENT_TRAILER.text);
  tail.set('x-tail-bin', SENT_TRAILER.bytes);
  return [head, tail];
}

function factsOf(call: UnaryCall | StreamCall): CallFacts {
  const cancelled = new AbortController();
  call.once('cancelled', () => cancelled.abort());
  const deadline = call.getDeadline();
  const timeLeftMs = deadline === Number.POSITIVE_INFINITY ? undefined : Number(deadline) - Date.now();
  const metadata = Object.keys(call.metadata.getMap()).map((name) => {
    const values = call.metadata.get(name).map((value) => (Buffer.isBuffer(value) ? value.toString('base64') : value));
    return [name, values.join(', ')] as const;
  });
  return { signal: cancelled.signal, peer: call.getPeer(), timeLeftMs, metadata };
}

/** A failure as grpc-js sends it. It leaves the details to us, which connect knows how to write. */
function statusOf(error: unknown, metadata = new Metadata()) {
  const { code, rawMessage } = ConnectError.from(error);
  const bytes = setTrailerStatus(new Headers(), ConnectError.from(error)).get('grpc-status-details-bin');
  if (bytes !== null) metadata.set('grpc-status-details-bin', Buffer.from(bytes, 'base64'));
  return Object.assign(new Error(rawMessage), { code: code as number, details: rawMessage, metadata });
}
