import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { fromBinary } from '@bufbuild/protobuf';
import {
  AuthenticateApiKeyRequestSchema,
  GetWorkflowRequestSchema,
  OrchestratorService,
  StreamWorkflowEventsRequestSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { answerMessages } from './answer-messages.ts';
import {
  createFinishedWorkflow,
  createHeldWorkflow,
  createKeyAnswer,
  createStepUpdate,
  type HeldWorkflow,
  type OutputFile,
  UNKNOWN_KEY_ANSWER,
} from './backend-data.ts';

// An orchestrator that holds running workflows, emits their events, and knows API keys. It must cost little beside the programs under
// test, so it speaks gRPC over bare HTTP/2, and encodes each answer and each event once for all who want it.

/** What the benchmark asks of it. */
export type BackendMessage =
  | { readonly hold: number }
  /** `perSecond` events in turn over all workflows, `each` of them for every workflow. */
  | { readonly emit: { readonly each: number; readonly perSecond: number } }
  /** To know these keys, too, by the hashes that it is asked for. */
  | { readonly know: { readonly keyHashes: readonly string[]; readonly isLimited: boolean } }
  /** A workflow that is finished and made these files. */
  | { readonly finish: { readonly id: string; readonly files: readonly OutputFile[] } }
  /** To say how many keys it was asked for since it was asked this, and to begin anew. */
  | { readonly lookups: true };

export interface BackendAnswer {
  readonly workflowIds: readonly string[];
  readonly openStreams: number;
  /** Calls of AuthenticateApiKey: all of them, and those for the key that was asked for most often. */
  readonly lookups: number;
  readonly lookupsOfOneKey: number;
}

interface Entry extends HeldWorkflow {
  readonly streams: Set<ServerHttp2Stream>;
  lastEventId: bigint;
}

const GRPC_CONTENT_TYPE = 'application/grpc+proto';
const GRPC_OK = '0';
const GRPC_NOT_FOUND = '5';
const GRPC_UNIMPLEMENTED = '12';
const TICK_MS = 5;

const entries = new Map<string, Entry>();
const finished = new Map<string, Buffer>();
const keyAnswers = new Map<string, Buffer>();
const lookups = new Map<string, number>();

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

function emitNext(entry: Entry): void {
  const bytes = createStepUpdate(entry.id, ++entry.lastEventId);
  for (const stream of entry.streams) stream.write(bytes);
}

function serve(stream: ServerHttp2Stream, path: string, body: Buffer): void {
  const message = body.subarray(5);
  if (path === rpcPath('getWorkflow')) {
    const { workflowId } = fromBinary(GetWorkflowRequestSchema, message);
    const workflow = entries.get(workflowId)?.answer ?? finished.get(workflowId);
    if (workflow) answer(stream, workflow);
    else refuse(stream, GRPC_NOT_FOUND);
  } else if (path === rpcPath('authenticateApiKey')) {
    const { keyHash } = fromBinary(AuthenticateApiKeyRequestSchema, message);
    lookups.set(keyHash, (lookups.get(keyHash) ?? 0) + 1);
    answer(stream, keyAnswers.get(keyHash) ?? UNKNOWN_KEY_ANSWER);
  } else if (path === rpcPath('streamWorkflowEvents')) {
    const { workflowId, fromEventId } = fromBinary(StreamWorkflowEventsRequestSchema, message);
    const entry = entries.get(workflowId);
    if (entry) follow(stream, entry, fromEventId);
    else refuse(stream, GRPC_NOT_FOUND);
  } else refuse(stream, GRPC_UNIMPLEMENTED);
}

function answer(stream: ServerHttp2Stream, message: Buffer): void {
  respond(stream);
  stream.end(message);
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
  const headers = { ':status': 200, 'content-type': GRPC_CONTENT_TYPE, 'grpc-status': status };
  stream.respond(headers, { endStream: true });
}

function rpcPath(rpc: keyof typeof OrchestratorService.method): string {
  return `/${OrchestratorService.typeName}/${OrchestratorService.method[rpc].name}`;
}

// The number of streams on a connection is not limited by default; their memory is, at 10 MB, which thousands pass.
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
  const counts = [...lookups.values()];
  if ('hold' in message) {
    for (let index = 1; index <= message.hold; index++) {
      const held = createHeldWorkflow(index);
      entries.set(held.id, { ...held, streams: new Set(), lastEventId: 0n });
    }
  } else if ('emit' in message) {
    await emit(message.emit);
  } else if ('finish' in message) {
    const { id, files } = message.finish;
    finished.set(id, createFinishedWorkflow(id, files));
  } else if ('know' in message) {
    const { keyHashes, isLimited } = message.know;
    for (const keyHash of keyHashes) keyAnswers.set(keyHash, createKeyAnswer(keyAnswers.size, isLimited));
  } else {
    lookups.clear();
  }
  return {
    workflowIds: [...entries.keys()],
    openStreams: [...entries.values()].reduce((sum, { streams }) => sum + streams.size, 0),
    lookups: counts.reduce((sum, count) => sum + count, 0),
    lookupsOfOneKey: counts.reduce((most, count) => Math.max(most, count), 0),
  };
});
