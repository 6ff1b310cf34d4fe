import { fileURLToPath } from 'node:url';
import {
  type ClientUnaryCall,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

// The orchestrator as the Fastify peer sees it: grpc-js and proto-loader, whose messages are plain objects with the names
// that are in the .proto files.

/** As proto-loader writes a google.protobuf.Value. */
export type Value =
  | { readonly kind: 'nullValue' }
  | { readonly kind: 'numberValue'; readonly numberValue: number }
  | { readonly kind: 'stringValue'; readonly stringValue: string }
  | { readonly kind: 'boolValue'; readonly boolValue: boolean }
  | { readonly kind: 'structValue'; readonly structValue: Struct }
  | { readonly kind: 'listValue'; readonly listValue: { readonly values: readonly Value[] } };

export interface Struct {
  readonly fields: Readonly<Record<string, Value>>;
}

/** Seconds since 1970, or of a duration. */
export interface Seconds {
  readonly seconds: number;
  readonly nanos: number;
}

export interface Quota {
  readonly limit: number;
  readonly used: number;
  readonly window_seconds: number;
  readonly resets_in: Seconds | null;
}

export interface WorkflowMessage {
  readonly id: string;
  readonly spec: {
    readonly name: string;
    readonly steps: readonly StepMessage[];
    readonly labels: Readonly<Record<string, string>>;
  } | null;
  readonly state: string;
  readonly step_statuses: readonly StepStatusMessage[];
  readonly created_at: Seconds | null;
  readonly updated_at: Seconds | null;
}

export interface StepMessage {
  readonly id: string;
  readonly tool: string;
  readonly depends_on: readonly string[];
  readonly params: Struct | null;
  readonly resources: {
    readonly gpu_type: string;
    readonly gpu_count: number;
    readonly cpu_cores: number;
    readonly memory_mb: number;
    readonly timeout_seconds: number;
  } | null;
}

export interface StepStatusMessage {
  readonly step_id: string;
  readonly state: string;
  readonly fraction: number;
  readonly outputs: readonly {
    readonly uri: string;
    readonly content_type: string;
    readonly size_bytes: number;
    readonly sha256: string;
    readonly metrics: Readonly<Record<string, number>>;
  }[];
  readonly sequences: readonly {
    readonly fasta: string;
    readonly global_score: number;
    readonly seq_recovery: number;
    readonly sample_index: number;
  }[];
  readonly error?: { readonly code: string; readonly message: string; readonly retryable: boolean } | null;
  readonly started_at: Seconds | null;
  readonly finished_at: Seconds | null;
}

/** For whom a call is made, and until when, in milliseconds since 1970. */
export interface CallContext {
  readonly requestId: string;
  readonly principal: string | undefined;
  readonly deadline: number;
}

/** grpc-js asks for so much at once; its default of 64 KiB makes a list of workflows wait. */
const FLOW_CONTROL_WINDOW_BYTES = 4 * 1024 * 1024;
const PROTO = fileURLToPath(new URL('../../proto', import.meta.url));

/** `endpoint` is host:port. */
export function connectOrchestrator(endpoint: string) {
  const definition = loadSync('foldforge/orchestrator/v1/orchestrator.proto', {
    includeDirs: [PROTO],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const { foldforge } = loadPackageDefinition(definition) as unknown as {
    foldforge: { orchestrator: { v1: GrpcObject } };
  };
  const Service = foldforge.orchestrator.v1.OrchestratorService as ServiceClientConstructor;
  const client = new Service(endpoint, credentials.createInsecure(), {
    'grpc-node.flow_control_window': FLOW_CONTROL_WINDOW_BYTES,
  });

  type Rpc = (
    request: object,
    metadata: Metadata,
    options: { deadline: number },
    callback: (error: ServiceError | null, answer: unknown) => void,
  ) => ClientUnaryCall;

  function unary<Answer>(name: string) {
    const rpc = (client[name] as Rpc).bind(client);
    return (request: object, { requestId, principal, deadline }: CallContext): Promise<Answer> => {
      const metadata = new Metadata();
      metadata.set('x-request-id', requestId);
      if (principal !== undefined) metadata.set('ff-principal', principal);
      return new Promise((resolve, reject) => {
        rpc(request, metadata, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer as Answer)));
      });
    };
  }

  return {
    getWorkflow: unary<WorkflowMessage>('getWorkflow'),
    listWorkflows: unary<{ workflows: readonly WorkflowMessage[]; next_page_token: string }>('listWorkflows'),
    acceptWorkflow: unary<{ workflow: WorkflowMessage; replayed: boolean; quota: Quota | null }>('acceptWorkflow'),
    authenticateApiKey: unary<{ allowed: boolean; principal: string; key_id: string; quota: Quota | null }>(
      'authenticateApiKey',
    ),
  };
}
