import { hash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import Fastify from 'fastify';
import { LRUCache } from 'lru-cache';
import { pino } from 'pino';
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { parse } from 'yaml';
import { openStandardOutput } from '../../src/shared/log.ts';
import { type SpecJson, specFromJson, workflowToJson } from './fastify-json.ts';
import { connectOrchestrator, type Quota } from './fastify-orchestrator.ts';

// What a good team would build with Fastify and grpc-js, and tune: the same work as the gateway for its three main
// operations. It is spared what these do not show: entity tags, cancelled upstream calls, tenants, drains, event streams.

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | undefined;
    deadline: number;
  }
}

interface Caller {
  readonly principal: string;
  readonly keyHash: string;
  readonly keyId: string;
  readonly quota: Quota | undefined;
}

const KEY_TTL_MS = 3_600_000;
const KEY_ENTRIES = 10_000;
const RPC_TIMEOUT_MS = 10_000;
/** Longer than the others' turns take: the load keeps its connections. */
const KEEP_ALIVE_MS = 75_000;
const BODY_LIMIT_BYTES = 1_048_576;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
const STATUS_OF_CODE: Readonly<Record<number, number>> = {
  3: 400,
  4: 504,
  5: 404,
  7: 403,
  8: 429,
  12: 501,
  14: 503,
  16: 401,
};

const [endpoint] = process.argv.slice(2);
if (!endpoint) throw new Error('the argument is host and port of the orchestrator');
const orchestrator = connectOrchestrator(endpoint);
const callers = new LRUCache<string, Caller>({ max: KEY_ENTRIES, ttl: KEY_TTL_MS, ttlResolution: 0 });

const log = pino(
  {
    name: 'fastify',
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  },
  openStandardOutput(),
);
const registry = new Registry();
collectDefaultMetrics({ register: registry });
const requests = new Counter({
  name: 'http_requests_total',
  help: 'HTTP requests by method, route and status.',
  labelNames: ['method', 'path', 'status'],
  registers: [registry],
});
const durations = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'Time from request to answer.',
  labelNames: ['method', 'path'],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  registers: [registry],
});

const app = Fastify({
  bodyLimit: BODY_LIMIT_BYTES,
  keepAliveTimeout: KEEP_ALIVE_MS,
  genReqId(request) {
    const given = request.headers['x-request-id'];
    return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
  },
});

// One validator for bodies, which are JSON, and one for what is text and has to be read as numbers.
const contract = parse(readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8'));
const schemaOf = (name: string) => ({ $ref: `contract#/components/schemas/${name}` });
const [strict, coercing] = [false, 'array' as const].map((coerceTypes) => {
  const ajv = new Ajv2020({ strict: false, useDefaults: true, coerceTypes, addUsedSchema: false });
  addFormats.default(ajv);
  return ajv.addSchema({ $id: 'contract', components: contract.components });
}) as [Ajv2020, Ajv2020];
app.setValidatorCompiler(({ schema, httpPart }) =>
  httpPart === 'body' ? strict.compile(schema as object) : coercing.compile(schema as object),
);
const querySchema = (path: string, method: string) => {
  const parameters: { in: string; name: string; schema: object }[] = contract.paths[path][method].parameters;
  const inQuery = parameters.filter(({ in: place }) => place === 'query');
  const properties = Object.fromEntries(inQuery.map(({ name, schema }) => [name, schema]));
  return { type: 'object', properties, additionalProperties: false };
};
const paramsSchema = {
  type: 'object',
  properties: { id: contract.components.parameters.WorkflowId.schema },
  required: ['id'],
};

app.decorateRequest('caller', undefined);
app.decorateRequest('deadline', 0);

app.addHook('onRequest', async (request, reply) => {
  request.deadline = Date.now() + RPC_TIMEOUT_MS;
  reply.header('X-Request-Id', request.id);
  const token = /^Bearer +([\x21-\x7e]+) *$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) throw refusal(401, 'UNAUTHENTICATED', 'send Authorization: Bearer <API key>');
  const keyHash = hash('sha256', token);
  request.caller = callers.get(keyHash) ?? (await lookUp(keyHash, request.id, request.deadline));
});

app.addHook('onResponse', async (request, reply) => {
  const path = request.routeOptions.url ?? 'unmatched';
  const durationMs = reply.elapsedTime;
  requests.inc({ method: request.method, path, status: reply.statusCode });
  durations.observe({ method: request.method, path }, durationMs / 1000);
  log.info(
    {
      request_id: request.id,
      principal: request.caller?.principal,
      key_id: request.caller?.keyId,
      method: request.method,
      route: path,
      status: reply.statusCode,
      duration_ms: Math.round(durationMs * 1000) / 1000,
    },
    'request',
  );
});

app.setErrorHandler(
  (error: Error & { code?: number | string; statusCode?: number; validation?: unknown }, request, reply) => {
    const status = error.statusCode ?? STATUS_OF_CODE[Number(error.code)] ?? 500;
    if (status >= 500) log.error({ request_id: request.id, err: error }, error.message);
    const code = error.validation ? 'INVALID_ARGUMENT' : String(error.code ?? 'INTERNAL');
    reply.code(status).send({ code, message: status < 500 ? error.message : 'internal error', request_id: request.id });
  },
);

interface ListQuery {
  readonly page_size: number;
  readonly page_token?: string;
  readonly state?: string;
  readonly label?: readonly string[];
}

app.get<{ Params: { id: string } }>(
  '/v1/workflows/:id',
  { schema: { params: paramsSchema } },
  async (request, reply) => {
    const workflow = await orchestrator.getWorkflow({ workflow_id: request.params.id }, contextOf(request));
    reply.header('Cache-Control', 'private, no-cache');
    return workflowToJson(workflow);
  },
);

app.get<{ Querystring: ListQuery }>(
  '/v1/workflows',
  { schema: { querystring: querySchema('/v1/workflows', 'get') } },
  async (request, reply) => {
    const { page_size, page_token = '', state, label = [] } = request.query;
    const selector = Object.fromEntries(label.map((pair) => pair.split(/=(.*)/s, 2)));
    const asked = {
      page_size,
      page_token,
      label_selector: selector,
      ...(state && { state_filter: `JOB_STATE_${state}` }),
    };
    const { workflows, next_page_token: next } = await orchestrator.listWorkflows(asked, contextOf(request));
    reply.header('Cache-Control', 'private, no-cache');
    if (next) {
      const query = new URLSearchParams({ page_size: String(page_size), page_token: next });
      if (state) query.set('state', state);
      for (const pair of label) query.append('label', pair);
      reply.header('Link', `</v1/workflows?${query}>; rel="next"`);
    }
    return { workflows: workflows.map(workflowToJson), next_page_token: next || undefined };
  },
);

app.post<{ Body: SpecJson }>(
  '/v1/workflows',
  { schema: { body: schemaOf('WorkflowSpec') } },
  async (request, reply) => {
    const caller = request.caller!;
    const spec = specFromJson(request.body);
    const asked = { spec, idempotency_key: '', body_digest: '', key_hash: caller.keyHash };
    const { workflow, replayed, quota } = await orchestrator.acceptWorkflow(asked, contextOf(request));
    if (quota) callers.set(caller.keyHash, { ...caller, quota }, { noUpdateTTL: true });
    reply.code(201).header('Cache-Control', 'no-store').header('Location', `/v1/workflows/${workflow.id}`);
    if (replayed) reply.header('Idempotent-Replayed', 'true');
    if (quota) reply.headers(rateLimitHeaders(quota));
    return workflowToJson(workflow);
  },
);

app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));

function contextOf({ id, caller, deadline }: { id: string; caller: Caller | undefined; deadline: number }) {
  return { requestId: id, principal: caller!.principal, deadline };
}

function rateLimitHeaders({ limit, used, window_seconds, resets_in }: Quota): Record<string, string> {
  const resetSeconds = resets_in ? Math.ceil(resets_in.seconds + resets_in.nanos / 1e9) : 0;
  const left = Math.max(0, limit - used);
  return {
    'RateLimit-Policy': `"submissions";q=${limit};w=${window_seconds}`,
    RateLimit: `"submissions";r=${left};t=${resetSeconds}`,
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': String(left),
    'X-RateLimit-Reset': String(Math.ceil(Date.now() / 1000) + resetSeconds),
  };
}

async function lookUp(keyHash: string, requestId: string, deadline: number): Promise<Caller> {
  const call = { requestId, principal: undefined, deadline };
  const answer = await orchestrator.authenticateApiKey({ key_hash: keyHash }, call);
  if (!answer.allowed) throw refusal(401, 'UNAUTHENTICATED', 'the credential is not valid');
  const caller = { principal: answer.principal, keyHash, keyId: answer.key_id, quota: answer.quota ?? undefined };
  callers.set(keyHash, caller);
  return caller;
}

function refusal(statusCode: number, code: string, message: string): Error {
  return Object.assign(new Error(message), { statusCode, code });
}

await app.listen({ host: '127.0.0.1', port: 0 });
log.info({ address: `127.0.0.1:${(app.server.address() as AddressInfo).port}` }, 'ready');
process.on('disconnect', () => process.exit(0));
