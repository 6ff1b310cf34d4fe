import { Hono } from 'hono';
import type { Env, Handler, Middleware, RequestContext } from './context.ts';
import { GatewayError } from './errors.ts';
import type { createArtifactRoutes } from './routes/artifacts.ts';
import type { createBillingRoutes } from './routes/billing.ts';
import type { createEventRoutes } from './routes/events.ts';
import type { createHealthRoutes } from './routes/health.ts';
import type { createWorkflowRoutes } from './routes/workflows.ts';

export interface AppParts {
  readonly identify: Middleware;
  readonly observe: Middleware;
  readonly authenticate: (operationId: string) => Middleware;
  readonly limitBody: Middleware;
  readonly verifyWebhook: Middleware;
  readonly validate: (operationId: string) => Middleware;
  readonly renderError: (thrown: unknown, c: RequestContext) => Response;
  readonly workflows: ReturnType<typeof createWorkflowRoutes>;
  readonly events: ReturnType<typeof createEventRoutes>;
  readonly artifacts: ReturnType<typeof createArtifactRoutes>;
  readonly billing: ReturnType<typeof createBillingRoutes>;
  readonly health: ReturnType<typeof createHealthRoutes>;
}

export type Method = 'GET' | 'POST' | 'DELETE';

/** Method, path template of openapi.yaml, handler (named by its operationId), and what stands before the contract. */
export type Route = readonly [method: Method, path: string, handler: Handler, ...guards: Middleware[]];

/** The route table. A test holds it against openapi.yaml. Hono answers HEAD through GET. */
export function listRoutes({ workflows, events, artifacts, billing, health, ...parts }: AppParts): Route[] {
  const body = parts.limitBody;
  return [
    ['POST', '/v1/workflows', workflows.submitWorkflow, body],
    ['GET', '/v1/workflows', workflows.listWorkflows],
    ['GET', '/v1/workflows/{id}', workflows.getWorkflow],
    ['DELETE', '/v1/workflows/{id}', workflows.cancelWorkflow],
    ['POST', '/v1/workflows/{id}/retry', workflows.retryWorkflow],
    ['POST', '/v1/workflows/{id}/rank', workflows.rankDesigns, body],
    ['GET', '/v1/workflows/{id}/events', events.streamWorkflowEvents],
    ['POST', '/v1/workflows/{id}/stream-tickets', events.createStreamTicket],
    ['GET', '/v1/workflows/{id}/artifacts/{key}', artifacts.downloadArtifact],
    ['GET', '/v1/billing/balance', billing.getBalance],
    ['GET', '/v1/billing/ledger', billing.listLedger],
    ['POST', '/v1/billing/checkout', billing.openCheckout, body],
    ['POST', '/v1/billing/webhook', billing.receiveStripeEvent, body, parts.verifyWebhook],
    ['GET', '/v1/healthz', health.getHealth],
    ['GET', '/v1/readyz', health.getReadiness],
    ['GET', '/metrics', health.getMetrics],
    ['GET', '/openapi.json', health.getOpenapiJson],
    ['GET', '/openapi.yaml', health.getOpenapiYaml],
  ];
}

/** The path of a request: identify → observe → (route) → credential → body → contract → handler; a throw is rendered. */
export function createApp(parts: AppParts): Hono<Env> {
  const app = new Hono<Env>();
  app.use(parts.identify, parts.observe);
  const routes = listRoutes(parts);
  for (const [method, path, handler, ...guards] of routes) {
    const credential = parts.authenticate(handler.name);
    app.on(method, routerPattern(path), nameRoute(path), credential, ...guards, parts.validate(handler.name), handler);
  }
  for (const path of new Set(routes.map(([, path]) => path))) {
    const allow = allowedMethods(routes, path);
    app.options(
      routerPattern(path),
      nameRoute(path),
      () => new Response(null, { status: 204, headers: { Allow: allow } }),
    );
    app.all(routerPattern(path), nameRoute(path), () => {
      throw new GatewayError('METHOD_NOT_ALLOWED', `this path allows ${allow}`, { headers: { Allow: allow } });
    });
  }
  app.notFound((c) => parts.renderError(new GatewayError('NOT_FOUND', 'not found'), c));
  app.onError((error, c) => parts.renderError(error, c));
  return app;
}

/** `{id}` is one segment; `{key}` is all that is left. */
function routerPattern(path: string): string {
  return path.replace('{key}', ':key{.+}').replace('{id}', ':id');
}

function allowedMethods(routes: readonly Route[], path: string): string {
  const methods = new Set<string>(routes.filter(([, candidate]) => candidate === path).map(([method]) => method));
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods, 'OPTIONS'].join(', ');
}

function nameRoute(path: string): Middleware {
  return function nameRoute(c, next) {
    c.set('route', path);
    return next();
  };
}
