import { hash, randomUUID } from 'node:crypto';
import { type CallOptions, Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { type HttpBindings, serve } from '@hono/node-server';
import { middleware as expressOpenApiValidator } from 'express-openapi-validator';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { LRUCache } from 'lru-cache';
import { pino } from 'pino';
import { Counter, Histogram, Registry } from 'prom-client';
import { quotaFromProto, rateLimitHeaders } from '../../src/gateway/wire/quota.ts';
import { workflowListToJson, workflowToJson } from '../../src/gateway/wire/workflow-json.ts';
import { type WorkflowSpecJson, workflowSpecFromJson } from '../../src/gateway/wire/workflow-spec.ts';
import {
  type AuthenticateApiKeyResponse,
  OrchestratorService,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { openStandardOutput } from '../../src/shared/log.ts';

// The same three operations as whoever knows the packages of this project by their first pages would build them: Hono with
// its middlewares, connect's own gRPC transport, and the whole chain of express-openapi-validator on every request. The
// mapping is the gateway's plain one.

interface Env {
  Bindings: HttpBindings;
  Variables: { requestId: string; caller: Caller; query: Record<string, unknown>; body: unknown };
}

interface Caller extends AuthenticateApiKeyResponse {
  readonly keyHash: string;
}

const RPC_TIMEOUT_MS = 10_000;
const BODY_LIMIT_BYTES = 1_048_576;
const KEY_TTL_MS = 3_600_000;
const KEY_ENTRIES = 10_000;
/** Longer than the others' turns take: the load keeps its connections. */
const KEEP_ALIVE_MS = 75_000;
const STATUSES: Readonly<Record<number, 400 | 401 | 404>> = {
  [Code.InvalidArgument]: 400,
  [Code.Unauthenticated]: 401,
  [Code.NotFound]: 404,
};

const [endpoint] = process.argv.slice(2);
if (!endpoint) throw new Error('the argument is host and port of the orchestrator');
const orchestrator = createClient(OrchestratorService, createGrpcTransport({ baseUrl: `http://${endpoint}` }));
const callers = new LRUCache<string, Caller>({ max: KEY_ENTRIES, ttl: KEY_TTL_MS });
const log = pino({ name: 'naive-hono', timestamp: pino.stdTimeFunctions.isoTime }, openStandardOutput());
const registers = [new Registry()];
const requests = new Counter({
  name: 'http_requests_total',
  help: 'HTTP requests.',
  labelNames: ['method', 'path', 'status'],
  registers,
});
const durations = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'Time from request to answer.',
  labelNames: ['method', 'path'],
  registers,
});

type ExpressHandler = (request: object, response: object, next: (error?: unknown) => void) => unknown;
const validators = expressOpenApiValidator({
  apiSpec: 'openapi.yaml',
  validateSecurity: false,
  validateResponses: false,
}) as unknown as ExpressHandler[];

/** Drives the chain as Express would, and returns what it made of query and body. */
function validate(request: { query: Record<string, unknown>; body: unknown }): Promise<typeof request> {
  return new Promise((resolve, reject) => {
    const run = (index: number) => (error?: unknown) => {
      const handler = validators[index];
      if (error) reject(error);
      else if (handler) Promise.resolve(handler(request, {}, run(index + 1))).catch(reject);
      else resolve(request);
    };
    run(0)();
  });
}

const app = new Hono<Env>();
app.use(requestId({ generator: () => randomUUID() }), secureHeaders(), bodyLimit({ maxSize: BODY_LIMIT_BYTES }));

app.use(async (c, next) => {
  const startedAt = performance.now();
  await next();
  const durationMs = performance.now() - startedAt;
  const { method } = c.req;
  const labels = { method, path: c.req.routePath };
  requests.inc({ ...labels, status: c.res.status });
  durations.observe(labels, durationMs / 1000);
  const { requestId: request_id, caller } = c.var;
  const { principal, keyId } = caller ?? {};
  log.info(
    { request_id, principal, key_id: keyId, ...labels, status: c.res.status, duration_ms: durationMs },
    'request',
  );
});

app.use('/v1/*', async (c, next) => {
  const token = /^Bearer +([\x21-\x7e]+) *$/i.exec(c.req.header('authorization') ?? '')?.[1];
  if (token === undefined) throw new ConnectError('send Authorization: Bearer <API key>', Code.Unauthenticated);
  const keyHash = hash('sha256', token);
  let caller = callers.get(keyHash);
  if (!caller) {
    caller = { ...(await orchestrator.authenticateApiKey({ keyHash }, callOf(c))), keyHash };
    if (!caller.allowed) throw new ConnectError('the credential is not valid', Code.Unauthenticated);
    callers.set(keyHash, caller);
  }
  c.set('caller', caller);
  await next();
});

app.use('/v1/*', async (c, next) => {
  const { pathname, search } = new URL(c.req.url);
  const url = pathname + search;
  const request = {
    method: c.req.method,
    url,
    originalUrl: url,
    path: pathname,
    baseUrl: '',
    headers: c.req.header(),
    query: c.req.query() as Record<string, unknown>,
    params: {},
    body: c.req.method === 'POST' ? await c.req.json() : undefined,
    app: { enabled: () => false, param: () => undefined },
  };
  const { query, body } = await validate(request).catch((error: Error) => {
    throw new ConnectError(error.message, Code.InvalidArgument);
  });
  c.set('query', query);
  c.set('body', body);
  await next();
});

app.get('/v1/workflows/:id', async (c) => {
  const workflow = await orchestrator.getWorkflow({ workflowId: c.req.param('id') }, callOf(c));
  return jsonAnswer(c, workflowToJson(workflow));
});

app.get('/v1/workflows', async (c) => {
  const { page_size: pageSize, page_token: pageToken = '' } = c.var.query as { page_size: number; page_token?: string };
  const page = await orchestrator.listWorkflows({ pageSize, pageToken }, callOf(c));
  const next = new URLSearchParams({ page_size: String(pageSize), page_token: page.nextPageToken });
  return jsonAnswer(
    c,
    workflowListToJson(page),
    200,
    page.nextPageToken ? { Link: `</v1/workflows?${next}>; rel="next"` } : {},
  );
});

app.post('/v1/workflows', async (c) => {
  const spec = workflowSpecFromJson(c.var.body as WorkflowSpecJson);
  const { keyHash } = c.var.caller;
  const { workflow, quota } = await orchestrator.acceptWorkflow({ spec, keyHash }, callOf(c));
  if (!workflow) throw new ConnectError('the workflow is missing', Code.Internal);
  const headers = { Location: `/v1/workflows/${workflow.id}`, ...rateLimitHeaders(quotaFromProto(quota)) };
  return jsonAnswer(c, workflowToJson(workflow), 201, headers);
});

app.onError((error, c) => {
  const { code, rawMessage } = ConnectError.from(error);
  log.error({ request_id: c.var.requestId, err: error }, rawMessage);
  return c.json({ code: Code[code], message: rawMessage, request_id: c.var.requestId }, STATUSES[code] ?? 500);
});

/** Not `c.json`, whose types would follow those of the whole answer. */
function jsonAnswer(c: Context<Env>, value: unknown, status: 200 | 201 = 200, headers: Record<string, string> = {}) {
  return c.body(JSON.stringify(value), status, { 'Content-Type': 'application/json', ...headers });
}

function callOf(c: Context<Env>): CallOptions {
  const { caller, requestId: id } = c.var;
  const headers = { 'x-request-id': id, ...(caller && { 'ff-principal': caller.principal }) };
  return { timeoutMs: RPC_TIMEOUT_MS, signal: c.req.raw.signal, headers };
}

serve(
  { fetch: app.fetch, hostname: '127.0.0.1', port: 0, serverOptions: { keepAliveTimeout: KEEP_ALIVE_MS } },
  ({ port }) => {
    log.info({ address: `127.0.0.1:${port}` }, 'ready');
  },
);
process.on('disconnect', () => process.exit(0));
