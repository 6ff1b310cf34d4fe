import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  GetWorkflowRequestSchema,
  OrchestratorService,
  StreamWorkflowEventsRequestSchema,
  WorkflowEventSchema,
  WorkflowSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { answerMessages } from './answer-messages.ts';

// An orchestrator that holds running workflows and emits their events. It must cost little beside the programs under
// test, so it speaks gRPC over bare HTTP/2, and encodes each answer and each event once for all who want it.

/** What the benchmark asks of it. */
export type BackendMessage =
  | { readonly hold: number }
  /** `perSecond` events in turn over all workflows, `each` of them for every workflow. */
  | { readonly emit: { readonly each: number; readonly perSecond: number } };
export interface BackendAnswer {
  readonly workflowIds: readonly string[];
  readonly openStreams: number;
}

interface Entry {
  readonly id: string;
  readonly workflow: Buffer;
  readonly snapshot: Buffer;
  readonly streams: Set<ServerHttp2Stream>;
  lastEventId: bigint;
}

const GRPC_CONTENT_TYPE = 'application/grpc+proto';
const GRPC_OK = '0';
const GRPC_NOT_FOUND = '5';
const GRPC_UNIMPLEMENTED = '12';
const TICK_MS = 5;
const CREATED_AT = timestampFromDate(new Date('2026-01-01T00:00:00Z'));

const entries = new Map<string, Entry>();

function hold(index: number): Entry {
  const id = `0190a5f0-0000-7000-8000-${String(index).padStart(12, '0')}`;
  const step = (stepId: string, tool: string, dependsOn: string[]) => ({ id: stepId, tool, dependsOn, params: {} });
  const workflow = create(WorkflowSchema, {
    id,
    spec: {
      name: `binder design ${index}`,
      steps: [
        step('backbone', 'rfdiffusion', []),
        step('sequence', 'proteinmpnn', ['backbone']),
        step('fold', 'boltz', ['sequence']),
      ],
      labels: { project: 'bench' },
    },
    state: JobState.RUNNING,
    stepStatuses: [
      { stepId: 'backbone', state: JobState.SUCCEEDED, fraction: 1, startedAt: CREATED_AT, finishedAt: CREATED_AT },
      { stepId: 'sequence', state: JobState.RUNNING, fraction: 0.5, startedAt: CREATED_AT },
      { stepId: 'fold', state: JobState.QUEUED },
    ],
    createdAt: CREATED_AT,
    updatedAt: CREATED_AT,
  });
  const event = { case: 'workflowUpdate' as const, value: workflow };
  const snapshot = create(WorkflowEventSchema, { workflowId: id, event, at: CREATED_AT });
  return {
    id,
    workflow: frame(WorkflowSchema, workflow),
    snapshot: frame(WorkflowEventSchema, snapshot),
    streams: new Set(),
    lastEventId: 0n,
  };
}

/** A progress report with scores, as a running step sends it. */
function emitNext(entry: Entry): void {
  const eventId = ++entry.lastEventId;
  const status = {
    stepId: 'sequence',
    state: JobState.RUNNING,
    fraction: Number(eventId % 100n) / 100,
    sequences: [{ fasta: 'MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ', globalScore: 1.25, seqRecovery: 0.41, sampleIndex: 1 }],
    startedAt: CREATED_AT,
  };
  const at = timestampFromDate(new Date());
  const event = { case: 'stepUpdate' as const, value: status };
  const bytes = frame(WorkflowEventSchema, create(WorkflowEventSchema, { workflowId: entry.id, event, at, eventId }));
  for (const stream of entry.streams) stream.write(bytes);
}

function emit({ each, perSecond }: { each: number; perSecond: number }): Promise<void> {
  const all = [...entries.values()];
  const total = each * all.length;
  const startedAt = performance.now();
  let sent = 0;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1000) * perSecond));
      for (; sent < due; sent++) emitNext(all[sent % all.length]!);
      if (sent < total) return;
      clearInterval(timer);
      resolve();
    }, TICK_MS);
  });
}

/** gRPC over HTTP/2, "Length-Prefixed-Message", not compressed. */
function frame<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Buffer {
  const bytes = toBinary(schema, message);
  const framed = Buffer.alloc(5 + bytes.length);
  framed.writeUInt32BE(bytes.length, 1);
  framed.set(bytes, 5);
  return framed;
}

function serve(stream: ServerHttp2Stream, path: string, body: Buffer): void {
  const message = body.subarray(5);
  if (path === rpcPath('getWorkflow')) {
    const entry = entries.get(fromBinary(GetWorkflowRequestSchema, message).workflowId);
    if (entry) answer(stream, entry.workflow);
    else refuse(stream, GRPC_NOT_FOUND);
  } else if (path === rpcPath('streamWorkflowEvents')) {
    const { workflowId, fromEventId } = fromBinary(StreamWorkflowEventsRequestSchema, message);
    const entry = entries.get(workflowId);
    if (entry) follow(stream, entry, fromEventId);
    else refuse(stream, GRPC_NOT_FOUND);
  } else refuse(stream, GRPC_UNIMPLEMENTED);
}

function answer(stream: ServerHttp2Stream, frame: Buffer): void {
  respond(stream);
  stream.end(frame);
}

/** Nothing is stored: whoever comes back behind an event gets what happens from now on. */
function follow(stream: ServerHttp2Stream, entry: Entry, fromEventId: bigint): void {
  respond(stream);
  if (fromEventId === 0n) stream.write(entry.snapshot);
  entry.streams.add(stream);
  stream.once('close', () => entry.streams.delete(stream));
}

function respond(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': GRPC_CONTENT_TYPE }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': GRPC_OK }));
}

function refuse(stream: ServerHttp2Stream, status: string): void {
  stream.respond({ ':status': 200, 'content-type': GRPC_CONTENT_TYPE, 'grpc-status': status }, { endStream: true });
}

function rpcPath(rpc: keyof typeof OrchestratorService.method): string {
  return `/${OrchestratorService.typeName}/${OrchestratorService.method[rpc].name}`;
}

// Streams are not limited in number by default; their memory is, at 10 MB a connection, which thousands of them pass.
const server = createServer({ maxSessionMemory: 1_000 });
server.on('stream', (stream, headers) => {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.once('end', () => serve(stream, String(headers[':path']), Buffer.concat(chunks)));
  // A program under test that is killed breaks its streams.
  stream.on('error', () => undefined);
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` }));
});

answerMessages<BackendMessage>(async (message): Promise<BackendAnswer> => {
  if ('hold' in message) {
    for (let index = 1; index <= message.hold; index++) {
      const entry = hold(index);
      entries.set(entry.id, entry);
    }
  } else {
    await emit(message.emit);
  }
  const openStreams = [...entries.values()].reduce((sum, { streams }) => sum + streams.size, 0);
  return { workflowIds: [...entries.keys()], openStreams };
});
