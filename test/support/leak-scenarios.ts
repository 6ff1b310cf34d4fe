import { listOperations } from '../../src/gateway/contract.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { completedEvent, signWebhook } from './fake-stripe.ts';
import { CONTRACT } from './gateway.ts';
import type { LeakWorld } from './leak-world.ts';
import { FILE_KEY } from './leaky-store.ts';
import type { RawRequest } from './raw-http.ts';

/** One way to call an operation, on fresh data each time, without a credential. */
export type Scenario = (world: LeakWorld) => {
  readonly request: RawRequest;
  /** When all is well and the caller is an API key. */
  readonly status: number;
  /** For the static token, where that is another. */
  readonly adminStatus?: number;
};

const OPERATIONS = listOperations(CONTRACT.document()).map(({ operation }) => operation);
export const OPERATION_IDS: readonly string[] = OPERATIONS.map(({ operationId }) => operationId);

/** Whether an operation is called without an API key. */
export function isPublic(operationId: string): boolean {
  const { security = [] } = OPERATIONS.find((operation) => operation.operationId === operationId)!;
  return !security.some((requirement) => 'bearer' in requirement);
}

const json = (body: unknown) => ({ headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
const get = (target: string, status = 200) => ({ request: { target }, status });

const specOf = ({ data }: LeakWorld) => ({
  name: data.body,
  labels: { project: data.body },
  steps: [{ id: 'a', tool: 'af2', params: { sequence: data.body } }],
});

/** Every operation of openapi.yaml, by its id, in all its ways. */
export const SCENARIOS: Readonly<Record<string, Readonly<Record<string, Scenario>>>> = {
  submitWorkflow: {
    plain: (world) => ({ request: { method: 'POST', target: '/v1/workflows', ...json(specOf(world)) }, status: 201 }),
    'with an idempotency key': (world) => {
      const { headers, body } = json(specOf(world));
      const key = `${world.data.idempotencyKey}-${world.fake.calls.length}`;
      const request = {
        method: 'POST',
        target: '/v1/workflows',
        headers: { ...headers, 'Idempotency-Key': key },
        body,
      };
      return { request, status: 201 };
    },
  },
  listWorkflows: {
    plain: () => get('/v1/workflows'),
    'one page': (world) => {
      for (const _ of [1, 2]) world.addWorkflow(JobState.RUNNING);
      return get(`/v1/workflows?page_size=1&label=project=${world.data.query}`);
    },
  },
  getWorkflow: {
    plain: (world) => get(`/v1/workflows/${world.addWorkflow(JobState.RUNNING)}`),
    waiting: (world) => get(`/v1/workflows/${world.addWorkflow(JobState.RUNNING)}?wait=1`),
  },
  cancelWorkflow: {
    plain: (world) => ({
      request: { method: 'DELETE', target: `/v1/workflows/${world.addWorkflow(JobState.RUNNING)}` },
      status: 200,
    }),
  },
  retryWorkflow: {
    plain: (world) => ({
      request: { method: 'POST', target: `/v1/workflows/${world.addWorkflow(JobState.FAILED)}/retry` },
      status: 200,
    }),
  },
  rankDesigns: {
    plain: (world) => {
      const target = `/v1/workflows/${world.addWorkflow(JobState.SUCCEEDED)}/rank`;
      return { request: { method: 'POST', target, ...json({ metric: 'plddt' }) }, status: 200 };
    },
  },
  streamWorkflowEvents: {
    fresh: (world) => get(`/v1/workflows/${world.addWorkflow(JobState.SUCCEEDED)}/events`),
    resumed: (world) => get(`/v1/workflows/${world.addWorkflow(JobState.SUCCEEDED)}/events?last_event_id=1`, 204),
  },
  createStreamTicket: {
    plain: (world) => ({
      request: { method: 'POST', target: `/v1/workflows/${world.addWorkflow(JobState.RUNNING)}/stream-tickets` },
      status: 201,
    }),
  },
  downloadArtifact: {
    whole: (world) => get(`/v1/workflows/${world.addWorkflow(JobState.SUCCEEDED)}/artifacts/${FILE_KEY}`),
    'a part': (world) => {
      const target = `/v1/workflows/${world.addWorkflow(JobState.SUCCEEDED)}/artifacts/${FILE_KEY}`;
      return { request: { target, headers: { Range: 'bytes=0-40' } }, status: 206 };
    },
  },
  getBalance: { plain: () => get('/v1/billing/balance') },
  listLedger: { plain: () => get('/v1/billing/ledger?limit=5') },
  openCheckout: {
    plain: ({ data }) => {
      const url = `https://example.org/${data.returnUrl}`;
      const request = {
        method: 'POST',
        target: '/v1/billing/checkout',
        ...json({ credits: 2500, success_url: url, cancel_url: url }),
      };
      return { request, status: 200, adminStatus: 400 };
    },
  },
  receiveStripeEvent: {
    paid: ({ data, fake }) => {
      const metadata = { foldforge_principal: data.principal, foldforge_credits: '2500' };
      return {
        request: webhook({ id: `cs_test_${fake.calls.length}`, object: 'checkout.session', metadata }),
        status: 200,
      };
    },
    damaged: ({ data }) => {
      const metadata = { foldforge_principal: data.principal, foldforge_credits: 'many' };
      return { request: webhook({ id: 'cs_test_damaged', object: 'checkout.session', metadata }), status: 200 };
    },
  },
  getHealth: { plain: () => get('/v1/healthz') },
  getReadiness: { plain: () => get('/v1/readyz') },
  getMetrics: { plain: () => get('/metrics') },
  getOpenapiJson: { plain: () => get('/openapi.json') },
  getOpenapiYaml: { plain: () => get('/openapi.yaml') },
  getDocs: { plain: () => get('/docs') },
  getDocsFile: { plain: () => get('/docs/index.html') },
  getConsole: { plain: () => get('/console') },
  getConsolePage: { plain: () => get('/console/nothing') },
};

export function listScenarios() {
  return Object.entries(SCENARIOS).flatMap(([operation, ways]) =>
    Object.entries(ways).map(([way, scenario]) => ({ operation, way, scenario })),
  );
}

function webhook(session: object): RawRequest {
  const body = completedEvent(session);
  const headers = { 'Content-Type': 'application/json', 'Stripe-Signature': signWebhook(body) };
  return { method: 'POST', target: '/v1/billing/webhook', headers, body };
}

/** The request as who has `token`. */
export function as(token: string, request: RawRequest): RawRequest {
  return { ...request, headers: { ...request.headers, Authorization: `Bearer ${token}` } };
}
