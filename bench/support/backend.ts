import { type AddressInfo, createServer } from 'node:net';
import { type DescMethod, fromBinary, toJson } from '@bufbuild/protobuf';
import {
  AuthenticateApiKeyRequestSchema,
  GetWorkflowRequestSchema,
  OrchestratorService,
  StreamWorkflowEventsRequestSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { Health } from '../../src/gen/grpc/health/v1/health_pb.ts';
import { answerMessages } from './answer-messages.ts';
import { type Answer, type EventStream, type Prepared, prepare } from './backend-answers.ts';
import { acceptConnection, type Serve } from './backend-connection.ts';
import {
  createAcceptance,
  createFinishedWorkflow,
  createHeldWorkflow,
  createKeyAnswer,
  createPage,
  createStepUpdate,
  type HeldWorkflow,
  type OutputFile,
  SERVING,
  UNKNOWN_KEY_ANSWER,
} from './backend-data.ts';
import { readSharedClockMs } from './shared-clock.ts';
import { createWorkLine } from './work-line.ts';

// An orchestrator that holds running workflows, emits their events, and knows API keys. It must cost little beside the programs under
// test, so it speaks gRPC over sockets of its own, and encodes each answer and each event once for all who want it.

/** What the benchmark asks of it. */
export type BackendMessage =
  /** So many running workflows, which are also the one page of its list; another one is what it accepts. */
  | { readonly hold: number }
  /** `perSecond` events in turn over all workflows, `each` of them for every workflow. */
  | { readonly emit: { readonly each: number; readonly perSecond: number } }
  /** To know these keys, too, by the hashes that it is asked for. */
  | { readonly know: { readonly keyHashes: readonly string[]; readonly isLimited: boolean } }
  /** A workflow that is finished and made these files. */
  | { readonly finish: { readonly id: string; readonly files: readonly OutputFile[] } }
  /** To work on no more than so many calls at once, each for so long, give or take a fifth; the others wait in line. */
  | { readonly limit: { readonly slots: number; readonly serviceMs: number } }
  /** To say how many keys it was asked for since it was asked this, and to begin anew. */
  | { readonly lookups: true }
  /** To say which calls came since it was asked this, and to note them from now on, or no longer. */
  | { readonly note: boolean };

/** A call that was made, as far as two programs that do the same can be compared by it. */
export interface NotedCall {
  readonly path: string;
  /** The request as protobuf's JSON. */
  readonly request: unknown;
  readonly fields: Readonly<Record<string, string>>;
}

export interface BackendAnswer {
  readonly workflowIds: readonly string[];
  readonly openStreams: number;
  /** Calls of AuthenticateApiKey: all of them, and those for the key that was asked for most often. */
  readonly lookups: number;
  readonly lookupsOfOneKey: number;
  readonly notedCalls: readonly NotedCall[];
  /** When each event that it was asked to emit was sent, by the shared clock, in turn over the workflows. */
  readonly emittedAtMs: readonly number[];
}

interface Entry extends Omit<HeldWorkflow, 'answer'> {
  readonly streams: Set<EventStream>;
  lastEventId: bigint;
}

const NOT_FOUND = { status: '5' };
const UNIMPLEMENTED = { status: '12' };
const TICK_MS = 5;

const entries = new Map<string, Entry>();
const workflowAnswers = new Map<string, Prepared>();
const keyAnswers = new Map<string, Prepared>();
const unknownKey = prepare(UNKNOWN_KEY_ANSWER);
const serving = prepare(SERVING);
const lookups = new Map<string, number>();
let page = prepare(createPage([]));
const acceptance = prepare(createAcceptance(0));
let noted: NotedCall[] | undefined;
let fields: Record<string, string> = {};

function emit({ each, perSecond }: { each: number; perSecond: number }): Promise<readonly number[]> {
  const all = [...entries.values()];
  const total = each * all.length;
  const startedAt = performance.now();
  const sentAtMs: number[] = [];
  let sent = 0;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1000) * perSecond));
      for (; sent < due; sent++) sentAtMs.push(emitNext(all[sent % all.length]!));
      if (sent < total) return;
      clearInterval(timer);
      resolve(sentAtMs);
    }, TICK_MS);
  });
}

function emitNext(entry: Entry): number {
  const bytes = createStepUpdate(entry.id, ++entry.lastEventId);
  const atMs = readSharedClockMs();
  for (const stream of entry.streams) stream.write(bytes);
  return atMs;
}

/** Nothing is stored: whoever comes back behind an event gets what happens from now on. */
function follow(message: Buffer): Answer {
  const { workflowId, fromEventId } = fromBinary(StreamWorkflowEventsRequestSchema, message);
  const entry = entries.get(workflowId);
  if (!entry) return NOT_FOUND;
  return {
    follow(stream) {
      if (fromEventId === 0n) stream.write(entry.snapshot);
      entry.streams.add(stream);
      stream.onClose = () => entry.streams.delete(stream);
    },
  };
}

function authenticate(message: Buffer): Answer {
  const { keyHash } = fromBinary(AuthenticateApiKeyRequestSchema, message);
  lookups.set(keyHash, (lookups.get(keyHash) ?? 0) + 1);
  return keyAnswers.get(keyHash) ?? unknownKey;
}

const { method: rpcs } = OrchestratorService;
const handlers = new Map<string, { readonly rpc: DescMethod; readonly answer: (message: Buffer) => Answer }>(
  [
    {
      rpc: rpcs.getWorkflow,
      answer: (message: Buffer) =>
        workflowAnswers.get(fromBinary(GetWorkflowRequestSchema, message).workflowId) ?? NOT_FOUND,
    },
    { rpc: rpcs.listWorkflows, answer: () => page },
    { rpc: rpcs.acceptWorkflow, answer: () => acceptance },
    { rpc: rpcs.authenticateApiKey, answer: authenticate },
    { rpc: rpcs.streamWorkflowEvents, answer: follow },
    { rpc: Health.method.check, answer: () => serving },
  ].map((handler) => [`/${handler.rpc.parent.typeName}/${handler.rpc.name}`, handler]),
);

const serve: Serve = ({ path, message }) => {
  const handler = handlers.get(path);
  if (!handler) return UNIMPLEMENTED;
  if (noted) {
    const request = toJson(handler.rpc.input, fromBinary(handler.rpc.input, message));
    noted.push({ path, request, fields });
    fields = {};
  }
  const answer = handler.answer(message);
  const isWork = workLine && handler.rpc.parent === OrchestratorService && !('follow' in answer);
  return isWork ? workLine!(answer) : answer;
};

let workLine: ReturnType<typeof createWorkLine> | undefined;

const server = createServer({ noDelay: true }, (socket) => acceptConnection(socket, serve));
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` }));
});

function note(goesOn: boolean): readonly NotedCall[] {
  const calls = noted ?? [];
  noted = goesOn ? [] : undefined;
  fields = {};
  serve.onField = goesOn
    ? (name, value) => {
        fields[name] = value;
      }
    : undefined;
  return calls;
}

answerMessages<BackendMessage>(async (message): Promise<BackendAnswer> => {
  const counts = [...lookups.values()];
  let notedCalls: readonly NotedCall[] = [];
  let emittedAtMs: readonly number[] = [];
  if ('hold' in message) {
    const held = Array.from({ length: message.hold }, (_, index) => createHeldWorkflow(index + 1));
    for (const { answer, ...entry } of held) {
      entries.set(entry.id, { ...entry, streams: new Set(), lastEventId: 0n });
      workflowAnswers.set(entry.id, prepare(answer));
    }
    page = prepare(createPage(held.map(({ workflow }) => workflow)));
  } else if ('emit' in message) {
    emittedAtMs = await emit(message.emit);
  } else if ('finish' in message) {
    const { id, files } = message.finish;
    workflowAnswers.set(id, prepare(createFinishedWorkflow(id, files)));
  } else if ('know' in message) {
    const { keyHashes, isLimited } = message.know;
    for (const keyHash of keyHashes) keyAnswers.set(keyHash, prepare(createKeyAnswer(keyAnswers.size, isLimited)));
  } else if ('limit' in message) {
    workLine = createWorkLine(message.limit);
  } else if ('note' in message) {
    notedCalls = note(message.note);
  } else {
    lookups.clear();
  }
  return {
    workflowIds: [...entries.keys()],
    openStreams: [...entries.values()].reduce((sum, { streams }) => sum + streams.size, 0),
    lookups: counts.reduce((sum, count) => sum + count, 0),
    lookupsOfOneKey: counts.reduce((most, count) => Math.max(most, count), 0),
    notedCalls,
    emittedAtMs,
  };
});
