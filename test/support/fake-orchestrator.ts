import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type ConnectRouter, createConnectRouter, type HandlerContext } from '@connectrpc/connect';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import {
  OrchestratorService,
  QuotaSchema,
  type StepStatusSchema,
  type Workflow,
  type WorkflowEvent,
  WorkflowEventSchema,
  WorkflowSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { Health, HealthCheckResponse_ServingStatus } from '../../src/gen/grpc/health/v1/health_pb.ts';

type RpcName = keyof typeof OrchestratorService.method | 'check';

export interface RecordedCall {
  readonly rpc: RpcName;
  readonly request: unknown;
  readonly headers: Headers;
  readonly timeoutMs: number | undefined;
}

export type FakeOrchestrator = Awaited<ReturnType<typeof startFakeOrchestrator>>;

/** How an event stream ends before its time: as if it were over, with an error, or by RST_STREAM with this code. */
export type StreamBreak = 'end' | { readonly error: Code } | { readonly reset: number };

interface OpenStream {
  readonly workflowId: string;
  broken?: 'end' | { readonly error: Code };
}

interface FakeKey {
  readonly principal: string;
  readonly limit: bigint;
  used: bigint;
  denyReason?: string;
  // What only `accounts` tells; the window is an hour.
  readonly keyId?: string;
  readonly readOnly?: boolean;
  readonly expiresAt?: Date;
  resetsAt?: Date;
}

/**
 * A minimal orchestrator over real gRPC: the base contract, held in memory, without any of our additions, unless they are
 * switched on: `replay` of events, and `accounts`, which is AcceptWorkflow and what is told of keys. (`health: false`
 * leaves the health service out). It takes `maxStreams` on one connection. Tests tell it what to hold and how to fail.
 */
export async function startFakeOrchestrator({
  health = false,
  replay = false,
  accounts = false,
  port = 0,
  maxStreams = 2 ** 31,
} = {}) {
  const workflows = new Map<string, { workflow: Workflow; owner: string; events: WorkflowEvent[]; oldest: bigint }>();
  const keys = new Map<string, FakeKey>();
  const accepted = new Map<string, { readonly workflow: Workflow; readonly bodyDigest: string }>();
  const granted = new Set<string>();
  const balances = new Map<string, bigint>();
  const calls: RecordedCall[] = [];
  const faults = new Map<RpcName, () => unknown>();
  const sessions = new Set<ServerHttp2Session>();
  const changed = new EventEmitter().setMaxListeners(0);
  const openStreams = new Set<OpenStream>();
  const rawStreams = new Set<ServerHttp2Stream>();

  /** Records the call, and fails it when the test wants that. */
  async function enter(rpc: RpcName, request: unknown, context: HandlerContext): Promise<string> {
    calls.push({ rpc, request, headers: context.requestHeader, timeoutMs: context.timeoutMs() });
    changed.emit('call');
    await untilLeft(faults.get(rpc)?.(), context.signal);
    return context.requestHeader.get('ff-principal') ?? '';
  }

  function visible(id: string, principal: string) {
    const entry = workflows.get(id);
    if (!entry || (principal !== '' && entry.owner !== principal)) throw new ConnectError('no such id', Code.NotFound);
    return entry;
  }

  function append(id: string, event: WorkflowEvent['event'], eventId?: bigint): void {
    const { workflow, events } = workflows.get(id)!;
    const nextId = eventId ?? (events.at(-1)?.eventId ?? 0n) + 1n;
    const at = timestampFromDate(new Date());
    events.push(create(WorkflowEventSchema, { workflowId: id, eventId: nextId, event, at }));
    workflow.updatedAt = at;
    if (event.case === 'workflowUpdate') workflow.state = event.value.state;
    changed.emit(id);
  }

  function routes(router: ConnectRouter): void {
    router.service(OrchestratorService, {
      async submitWorkflow(request, context) {
        const owner = await enter('submitWorkflow', request, context);
        return put({ ...(request.spec && { spec: request.spec }), state: JobState.QUEUED }, owner);
      },
      async acceptWorkflow({ spec, idempotencyKey, bodyDigest, keyHash }, context) {
        const owner = await enter('acceptWorkflow', { spec, idempotencyKey, bodyDigest, keyHash }, context);
        if (!accounts) throw new ConnectError('no such rpc', Code.Unimplemented);
        const scope = JSON.stringify([owner, idempotencyKey]);
        const first = accepted.get(scope);
        const key = keys.get(keyHash);
        if (first && first.bodyDigest !== bodyDigest) {
          throw refusal(Code.AlreadyExists, 'IDEMPOTENCY_KEY_REUSED', 'it was used for another body');
        }
        if (first) return { workflow: first.workflow, replayed: true, ...quotaOf(key) };
        if (keyHash !== '' && (!key || key.denyReason)) {
          const reason = key?.denyReason ? `KEY_${key.denyReason.toUpperCase()}` : 'KEY_UNKNOWN';
          throw refusal(Code.Unauthenticated, reason, 'the key is not good');
        }
        if (key && key.limit > 0n && key.used >= key.limit) {
          throw refusal(Code.ResourceExhausted, 'QUOTA_EXCEEDED', 'no submissions left', quotaOf(key).quota);
        }
        if (key) {
          key.used++;
          key.resetsAt ??= new Date(Date.now() + 3_600_000);
        }
        const workflow = put({ ...(spec && { spec }), state: JobState.QUEUED }, owner);
        if (idempotencyKey) accepted.set(scope, { workflow: structuredClone(workflow), bodyDigest });
        return { workflow, replayed: false, ...quotaOf(key) };
      },
      async getWorkflow(request, context) {
        return visible(request.workflowId, await enter('getWorkflow', request, context)).workflow;
      },
      async listWorkflows(request, context) {
        const owner = await enter('listWorkflows', request, context);
        const all = [...workflows.values()].filter((entry) => owner === '' || entry.owner === owner);
        const start = Number(request.pageToken || 0);
        const end = start + (request.pageSize || 20);
        return {
          workflows: all.slice(start, end).map(({ workflow }) => workflow),
          nextPageToken: end < all.length ? String(end) : '',
        };
      },
      async *streamWorkflowEvents(request, context) {
        const owner = await enter('streamWorkflowEvents', request, context);
        const entry = visible(request.workflowId, owner);
        const { workflow, events } = entry;
        const over = () => workflow.state >= JobState.SUCCEEDED;
        let last = request.fromEventId;
        let read = 0;
        const stream: OpenStream = { workflowId: workflow.id };
        openStreams.add(stream);
        try {
          if (last === 0n && !(replay && request.replay)) {
            last = events.at(-1)?.eventId ?? 0n;
            yield { workflowId: workflow.id, event: { case: 'workflowUpdate' as const, value: workflow } };
          }
          for (;;) {
            const wake = once(changed, workflow.id, { signal: context.signal });
            wake.catch(() => undefined);
            if (last + 1n < entry.oldest) {
              const gap = { requested: last, oldest: entry.oldest };
              last = entry.oldest - 1n;
              yield { workflowId: workflow.id, event: { case: 'gap' as const, value: gap } };
            }
            const unread = events.slice(read);
            read = events.length;
            for (const event of unread.filter(({ eventId }) => eventId > last)) {
              if (stream.broken) break;
              last = event.eventId;
              yield event;
            }
            if (stream.broken === 'end') return;
            if (stream.broken) throw new ConnectError('broken by the test', stream.broken.error);
            if (read < events.length) continue;
            if (over()) return;
            await wake;
          }
        } finally {
          openStreams.delete(stream);
          changed.emit('stream');
        }
      },
      async cancelWorkflow(request, context) {
        const { workflow } = visible(request.workflowId, await enter('cancelWorkflow', request, context));
        workflow.state = JobState.CANCELLED;
        return workflow;
      },
      async retryWorkflow(request, context) {
        const { workflow } = visible(request.workflowId, await enter('retryWorkflow', request, context));
        if (workflow.state !== JobState.FAILED) throw new ConnectError('it has not failed', Code.FailedPrecondition);
        workflow.state = JobState.QUEUED;
        return workflow;
      },
      async authenticateApiKey(request, context) {
        await enter('authenticateApiKey', request, context);
        const key = keys.get(request.keyHash);
        if (!key || key.denyReason) return { allowed: false, denyReason: key?.denyReason ?? 'unknown' };
        const { principal, keyId = '', readOnly = false, expiresAt } = key;
        if (!accounts) return { allowed: true, principal };
        const until = expiresAt && { expiresAt: timestampFromDate(expiresAt) };
        return { allowed: true, principal, keyId, readOnly, ...until, ...quotaOf(key) };
      },
      async consumeQuota(request, context) {
        await enter('consumeQuota', request, context);
        const key = keys.get(request.keyHash);
        if (!key || key.denyReason) return { allowed: false, denyReason: key?.denyReason ?? 'unknown' };
        const { limit, principal } = key;
        if (limit > 0n && key.used >= limit) {
          return { allowed: false, limit, used: key.used, principal, denyReason: 'quota exceeded' };
        }
        key.used++;
        return { allowed: true, limit, used: key.used, principal };
      },
      async getBalance(request, context) {
        await enter('getBalance', request, context);
        return { balance: request.principal === '' ? 0n : 9_007_199_254_740_993n };
      },
      async grantCredits(request, context) {
        await enter('grantCredits', request, context);
        const { principal, amount, idempotencyKey } = request;
        const replayed = granted.has(idempotencyKey);
        if (!replayed) balances.set(principal, (balances.get(principal) ?? 0n) + amount);
        if (idempotencyKey) granted.add(idempotencyKey);
        return { balance: balances.get(principal) ?? 0n, ...(accounts && { replayed }) };
      },
      async listLedger(request, context) {
        await enter('listLedger', request, context);
        const entry = {
          delta: -40n,
          reason: 'debit:wf:1',
          balanceAfter: 60n,
          createdAt: timestampFromDate(new Date(0)),
        };
        return { entries: request.principal === '' ? [] : [entry] };
      },
      async rankDesigns(request, context) {
        visible(request.workflowId, await enter('rankDesigns', request, context));
        const design = {
          rank: 1,
          score: 91.5,
          id: 'abc',
          kind: 'artifact',
          sourceStep: 'fold',
          metrics: { plddt: 91.5 },
        };
        return { designs: [design], totalConsidered: 3, totalRanked: 1 };
      },
    });
    if (health) {
      router.service(Health, {
        async check(request, context) {
          await enter('check', request, context);
          return { status: HealthCheckResponse_ServingStatus.SERVING };
        },
      });
    }
  }

  function put(init: MessageInitShape<typeof WorkflowSchema>, owner = ''): Workflow {
    const now = timestampFromDate(new Date());
    const workflow = create(WorkflowSchema, { id: randomUUID(), createdAt: now, updatedAt: now, ...init });
    workflows.set(workflow.id, { workflow, owner, events: [], oldest: 0n });
    return workflow;
  }

  const router = createConnectRouter();
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const settings = { maxConcurrentStreams: maxStreams };
  const server = createServer({ maxSessionMemory: 256, settings }, (request, response) => {
    const handler = handlers.get(request.url);
    if (!handler) {
      response.writeHead(404).end();
      return;
    }
    // What a handler throws is part of the answer. Only a connection that broke is thrown here, as tests want it to.
    handler(universalRequestFromNodeRequest(request, response, undefined, undefined))
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch(() => {});
  });
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    if (!headers[':path']?.endsWith('/StreamWorkflowEvents')) return;
    rawStreams.add(stream);
    stream.once('close', () => rawStreams.delete(stream));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    port: (server.address() as AddressInfo).port,
    calls,
    keys,
    /** Credits that were granted. */
    balances,
    /** Makes a workflow that `owner` (empty: nobody) submitted. */
    put,
    /** Stores a step update as the next event, or under `eventId`. */
    stepUpdate(id: string, status: MessageInitShape<typeof StepStatusSchema>, eventId?: bigint): void {
      const event = create(WorkflowEventSchema, { event: { case: 'stepUpdate', value: status } }).event;
      append(id, event, eventId);
    },
    /** Stores a workflow update with this state. */
    workflowUpdate(id: string, state: JobState): void {
      const workflow = create(WorkflowSchema, { ...workflows.get(id)!.workflow, state });
      append(id, { case: 'workflowUpdate', value: workflow });
    },
    /** Stores no event before this id any more. Who asks for one is told of a gap: our addition to the contract. */
    forgetEvents(id: string, oldest: bigint): void {
      workflows.get(id)!.oldest = oldest;
    },
    /** Runs `fault` in each call of `rpc`; it may throw or wait. */
    onCall(rpc: RpcName, fault: () => unknown): void {
      faults.set(rpc, fault);
    },
    clearFaults: () => faults.clear(),
    countCalls: (rpc: RpcName) => calls.filter((call) => call.rpc === rpc).length,
    openStreams: () => openStreams.size,
    /**
     * Breaks one of the open event streams: the first for `position` 0, the last just below 1. Returns whether there was
     * one.
     */
    breakStream(how: StreamBreak, position = 0): boolean {
      if (how !== 'end' && 'reset' in how) {
        const raw = at([...rawStreams], position);
        raw?.close(how.reset);
        return raw !== undefined;
      }
      const stream = at(
        [...openStreams].filter(({ broken }) => !broken),
        position,
      );
      if (!stream) return false;
      stream.broken = how;
      changed.emit(stream.workflowId);
      return true;
    },
    changed,
    /** Takes nothing more on the connections that there are, as a server does before it leaves. */
    goAway(): void {
      for (const session of sessions) session.goaway();
    },
    /** Breaks every connection, as a crash does. */
    dropConnections(): void {
      for (const session of sessions) session.destroy();
    },
    close(): Promise<void> {
      for (const session of sessions) session.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function quotaOf(key: FakeKey | undefined) {
  if (!key || key.limit === 0n) return {};
  const { limit, used, resetsAt } = key;
  return {
    quota: {
      limit,
      used,
      windowSeconds: 3600n,
      ...(resetsAt && { resetsIn: durationFromMs(resetsAt.getTime() - Date.now()) }),
    },
  };
}

/** What AcceptWorkflow refuses with. */
export function refusal(
  code: Code,
  reason: string,
  message: string,
  quota?: MessageInitShape<typeof QuotaSchema>,
): ConnectError {
  return new ConnectError(message, code, undefined, [
    { desc: ErrorInfoSchema, value: { reason, domain: 'test' } },
    ...(quota ? [{ desc: QuotaSchema, value: quota }] : []),
  ]);
}

/** The element at `position`, from 0 for the first to just below 1 for the last. */
const at = <T>(list: readonly T[], position: number): T | undefined => list[Math.floor(position * list.length)];

/** A call whose caller has gone away ends: the server would keep the process for as long as its deadline. */
async function untilLeft(fault: unknown, signal: AbortSignal): Promise<void> {
  const left = Promise.withResolvers<never>();
  const leave = () => left.reject(signal.reason);
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave, { once: true });
  await Promise.race([fault, left.promise]).finally(() => signal.removeEventListener('abort', leave));
}
