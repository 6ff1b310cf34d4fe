import { createServer, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import { AF2Service } from '../../src/gen/foldforge/af2/v1/af2_pb.ts';
import { BoltzService } from '../../src/gen/foldforge/boltz/v1/boltz_pb.ts';
import { ProteinMPNNService } from '../../src/gen/foldforge/proteinmpnn/v1/proteinmpnn_pb.ts';
import { RFdiffusionService } from '../../src/gen/foldforge/rfdiffusion/v1/rfdiffusion_pb.ts';
import type { PutArtifact } from '../../src/orchestrator/runners/artifact-writer.ts';
import type { Tool } from '../../src/orchestrator/runners/runner.ts';
import { createResults, nameArtifact, type Requests, type Results } from './sidecar-results.ts';

/** What a Run stream says: an event of the tool's RunUpdate, or one that has no case set. */
export type SaidUpdate<T extends Tool = Tool> =
  | { readonly progress: number; readonly message?: string }
  | { readonly result: Results[T] }
  | { readonly error: { readonly code?: string; readonly message?: string; readonly retryable?: boolean } }
  | 'nothing';

/** One call of Run, as the sidecar saw it, and what it can do to it below gRPC. */
export interface SidecarCall<T extends Tool = Tool> {
  readonly tool: T;
  readonly request: Requests[T];
  readonly headers: Headers;
  /** Until the deadline, in milliseconds; undefined: there is none. */
  readonly timeoutMs: number | undefined;
  /** Aborts when the call is over, for whatever reason. */
  readonly signal: AbortSignal;
  /** Of the RST_STREAM that ended it, or of ours; 0 when it ended well, undefined while it goes on. */
  resetCode: number | undefined;
  /** Sends an RST_STREAM with this code. */
  readonly reset: (code: number) => void;
  /** Breaks the TCP connection, as when the process is killed. */
  readonly breakConnection: () => void;
  /** Sends a GOAWAY: what is open may end, and nothing more is taken on the connection. */
  readonly leave: () => void;
  /** Writes into the stream what is no gRPC, or what is said to be. */
  readonly writeRaw: (bytes: Uint8Array) => void;
}

/** What a tool does when it is asked to Run. Throwing a ConnectError ends the call with its status. */
export type Script<T extends Tool = Tool> = (call: SidecarCall<T>) => AsyncIterable<SaidUpdate<T>>;

export interface SidecarOptions {
  /** 0: a free one. */
  readonly port?: number;
  /** Where the files go that it makes of itself; without it they are only named. */
  readonly putArtifact?: PutArtifact;
  /** How long a run takes that has no script. */
  readonly runMs?: number;
  /** For every tool that has no script of its own. */
  readonly script?: Script;
}

/** Says nothing until the call is over. */
export function silence({ signal }: Pick<SidecarCall, 'signal'>): AsyncIterable<never> {
  const over = new Promise<IteratorReturnResult<undefined>>((resolve) => {
    signal.addEventListener('abort', () => resolve({ done: true, value: undefined }));
  });
  return { [Symbol.asyncIterator]: () => ({ next: () => over }) };
}

const RESPONSE = createContextKey<Http2ServerResponse | undefined>(undefined);
const PROGRESS_COUNT = 4;

export type Sidecar = Awaited<ReturnType<typeof startSidecar>>;

/** All four tools on one real gRPC server, which does what it should, or what a test tells it to. */
export async function startSidecar({ port = 0, putArtifact = nameArtifact, runMs = 0, script }: SidecarOptions = {}) {
  const results = createResults(putArtifact);
  const scripts = new Map<Tool, Script>();
  const capabilities = new Map<Tool, Record<string, unknown> | Code | 'silent'>();
  const calls: SidecarCall[] = [];
  const asked: Tool[] = [];

  /** What a good sidecar does. */
  async function* runWell<T extends Tool>(call: SidecarCall<T>): AsyncGenerator<SaidUpdate<T>> {
    for (let count = 0; count < PROGRESS_COUNT; count++) {
      yield { progress: count / PROGRESS_COUNT, message: `part ${count + 1} of ${PROGRESS_COUNT}` };
      if (runMs > 0) await sleep(runMs / PROGRESS_COUNT, undefined, { signal: call.signal });
    }
    const make = results[call.tool] as unknown as (request: Requests[T]) => Promise<Results[T]>;
    yield { result: await make(call.request) };
  }

  function runOf(tool: Tool) {
    return async function* run(request: unknown, context: HandlerContext) {
      const call = recordCall(tool, request as Requests[Tool], context);
      calls.push(call);
      const act = scripts.get(tool) ?? script ?? runWell;
      for await (const said of act(call)) yield eventOf(said) as never;
    };
  }

  function getCapabilitiesOf(tool: Tool) {
    return async (_request: unknown, { signal }: HandlerContext) => {
      asked.push(tool);
      const answer = capabilities.get(tool) ?? { modelVersion: `${tool}-test` };
      if (answer === 'silent') await new Promise((_, reject) => signal.addEventListener('abort', reject));
      if (typeof answer === 'number') throw new ConnectError('no capabilities', answer);
      return answer as never;
    };
  }

  const server = await openServer(port, (router) => {
    const methodsOf = (tool: Tool) => ({ run: runOf(tool), getCapabilities: getCapabilitiesOf(tool) });
    router.service(RFdiffusionService, methodsOf('rfdiffusion'));
    router.service(ProteinMPNNService, methodsOf('proteinmpnn'));
    router.service(BoltzService, methodsOf('boltz'));
    router.service(AF2Service, methodsOf('af2'));
  });

  return {
    ...server,
    url: `http://127.0.0.1:${server.port}`,
    /** Every call of Run, in the order in which they came. */
    calls,
    /** The tools whose capabilities were asked for, once for each time. */
    asked,
    runWell,
    /** From now on; undefined: as it should. */
    script<T extends Tool>(tool: T, act: Script<T> | undefined): void {
      if (act) scripts.set(tool, act as unknown as Script);
      else scripts.delete(tool);
    },
    /** What GetCapabilities answers: the message, or a status; `silent` is never. */
    setCapabilities(tool: Tool, answer: Record<string, unknown> | Code | 'silent'): void {
      capabilities.set(tool, answer);
    },
  };
}

function recordCall(tool: Tool, request: Requests[Tool], context: HandlerContext): SidecarCall {
  const { stream } = context.values.get(RESPONSE)!;
  const call: SidecarCall = {
    tool,
    request,
    headers: context.requestHeader,
    timeoutMs: context.timeoutMs(),
    signal: context.signal,
    resetCode: undefined,
    reset: (code) => stream.close(code),
    breakConnection: () => stream.session && socketsOf.get(stream.session)?.resetAndDestroy(),
    leave: () => stream.session?.close(),
    writeRaw(bytes) {
      if (!stream.headersSent) stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.write(bytes);
    },
  };
  stream.once('close', () => {
    call.resetCode = stream.rstCode;
  });
  return call;
}

const socketsOf = new WeakMap<object, Socket>();

function eventOf(said: SaidUpdate) {
  if (said === 'nothing') return {};
  if ('progress' in said) {
    return { event: { case: 'progress', value: { fraction: said.progress, message: said.message ?? '' } } };
  }
  if ('result' in said) return { event: { case: 'result', value: said.result } };
  return { event: { case: 'error', value: said.error } };
}

async function openServer(port: number, routes: (router: ConnectRouter) => void) {
  const router = createConnectRouter({ grpc: true, grpcWeb: false, connect: false });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const server = createServer({ maxSessionMemory: 256 }, (request, response) => {
    const handler = handlers.get(request.url);
    if (!handler) {
      response.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': Code.Unimplemented }).end();
      return;
    }
    const values = createContextValues().set(RESPONSE, response);
    // What a handler throws is part of the answer. Only a connection that broke is thrown here, as tests want it to.
    handler(universalRequestFromNodeRequest(request, response, undefined, values))
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch(() => {});
  });
  const sockets = new Set<Socket>();
  let connecting: Socket | undefined;
  // Before the session is made of it, which is in the same moment.
  server.prependListener('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    connecting = socket;
  });
  server.on('session', (session) => {
    if (connecting) socketsOf.set(session, connecting);
    session.on('error', () => {});
  });
  server.on('sessionError', () => {});
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });

  /** Breaks every connection, and goes on listening. */
  function breakConnections(): void {
    for (const socket of sockets) socket.resetAndDestroy();
  }

  return {
    port: (server.address() as AddressInfo).port,
    breakConnections,
    openConnections: () => sockets.size,
    close(): Promise<void> {
      breakConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
