import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import type { Admission, Urgency } from './admission/admission.ts';
import type { Answer, Env, Frame, Handler, Middleware, RequestContext } from './context.ts';
import { GatewayError, toGatewayError } from './errors.ts';
import type { AllowOrigins } from './middleware/allow-origins.ts';
import { dropBody } from './middleware/drop-body.ts';
import type { createArtifactRoutes } from './routes/artifacts.ts';
import type { createBillingRoutes } from './routes/billing.ts';
import type { createEventRoutes } from './routes/events.ts';
import type { createHealthRoutes } from './routes/health.ts';
import type { createPageRoutes } from './routes/pages.ts';
import type { createWorkflowRoutes } from './routes/workflows.ts';
import { sendAnswer } from './send-answer.ts';

export interface AppParts {
  readonly identify: Frame;
  readonly observe: Frame;
  /** Undefined while no origin is allowed. */
  readonly allowOrigins: AllowOrigins | undefined;
  readonly authenticate: (operationId: string) => Middleware;
  readonly admission: Pick<Admission, 'stations'>;
  readonly limitBody: Middleware;
  readonly boundStrangers: Middleware;
  readonly verifyWebhook: Middleware;
  readonly validate: (operationId: string) => Middleware;
  readonly renderError: (thrown: unknown, c: RequestContext) => Answer;
  readonly workflows: ReturnType<typeof createWorkflowRoutes>;
  readonly events: ReturnType<typeof createEventRoutes>;
  readonly artifacts: ReturnType<typeof createArtifactRoutes>;
  readonly billing: ReturnType<typeof createBillingRoutes>;
  readonly health: ReturnType<typeof createHealthRoutes>;
  readonly pages: ReturnType<typeof createPageRoutes>;
}

export type Method = 'GET' | 'POST' | 'DELETE';

/** Method, path template of openapi.yaml, handler (named by its operationId), and what stands before the contract. */
export type Route = readonly [method: Method, path: string, handler: Handler, ...guards: Middleware[]];

/** The route table. A test holds it against openapi.yaml. Hono answers HEAD through GET. */
export function listRoutes({ workflows, events, artifacts, billing, health, pages, ...parts }: AppParts): Route[] {
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
    ['POST', '/v1/billing/webhook', billing.receiveStripeEvent, parts.boundStrangers, body, parts.verifyWebhook],
    ['GET', '/v1/healthz', health.getHealth],
    ['GET', '/v1/readyz', health.getReadiness],
    ['GET', '/metrics', health.getMetrics],
    ['GET', '/openapi.json', health.getOpenapiJson],
    ['GET', '/openapi.yaml', health.getOpenapiYaml],
    ['GET', '/docs', pages.getDocs],
    ['GET', '/docs/{path}', pages.getDocsFile],
    ['GET', '/console', pages.getConsole],
    ['GET', '/console/{path}', pages.getConsolePage],
  ];
}

/**
 * The path of a request: route → identify → observe → origin → credential → room → body → contract → handler; a throw is
 * rendered.
 */
export function createApp(parts: AppParts): Hono<Env> {
  const { identify, observe, allowOrigins, renderError } = parts;

  // One handler a route, which writes the answer itself: Hono's own chain costs a promise and a closure for each station.
  function serve(route: string, stations: readonly Middleware[], handler: Handler) {
    return async (c: RequestContext): Promise<Response> => {
      const endIdentify = identify(c);
      const endObserve = observe(c);
      c.env.facts.route = route;
      allowOrigins?.allow(c);
      try {
        for (const station of stations) {
          const passing = station(c);
          if (passing) await passing;
        }
        const answer = await handler(c);
        c.env.facts.endWork?.(undefined);
        if (answer) sendAnswer(c, answer);
      } catch (thrown) {
        const error = toGatewayError(thrown);
        c.env.facts.endWork?.(error);
        const answer = renderError(error, c);
        if (!c.env.outgoing.headersSent) sendAnswer(c, answer);
        else {
          // One that has begun cannot be taken back, only be seen to be broken.
          c.env.facts.brokenBy = error;
          c.env.outgoing.destroy();
        }
      } finally {
        endObserve();
        endIdentify();
      }
      return RESPONSE_ALREADY_SENT;
    };
  }

  // All methods of a path in one handler, too: where two match, Hono makes a chain of them.
  function servePath(path: string, routes: readonly Route[]) {
    const methods = allowedMethods(routes);
    const headers = { Allow: methods };
    const byMethod = new Map<string, ReturnType<typeof serve>>();
    for (const [method, , handler, ...guards] of routes) {
      const { enter, begin } = parts.admission.stations(handler.name, urgencyOf(method, path));
      const body = guards.length > 0 ? [] : [dropBody];
      const checks = [parts.authenticate(handler.name), enter, ...guards, begin, parts.validate(handler.name)];
      const stations = [...body, ...checks];
      byMethod.set(method, serve(path, stations, handler));
      if (method === 'GET') byMethod.set('HEAD', byMethod.get('GET')!);
    }
    byMethod.set(
      'OPTIONS',
      serve(path, [], (c) => ({ status: 204, headers: { ...headers, ...allowOrigins?.preflightHeaders(c, methods) } })),
    );
    const error = new GatewayError('METHOD_NOT_ALLOWED', `this path allows ${methods}`, { headers });
    const refuse = serve(path, [], refuseWith(error));
    return (c: RequestContext) => (byMethod.get(c.env.incoming.method ?? '') ?? refuse)(c);
  }

  const app = new Hono<Env>();
  for (const [path, routes] of Map.groupBy(listRoutes(parts), ([, path]) => path)) {
    app.all(routerPattern(path), servePath(path, routes));
  }
  app.notFound(serve('unmatched', [], refuseWith(new GatewayError('NOT_FOUND', 'not found'))));
  return app;
}

/** What is answered from memory is never refused, and neither is what makes the load less. */
function urgencyOf(method: Method, path: string): Urgency {
  if (method === 'DELETE' || (!path.startsWith('/v1/workflows') && !path.startsWith('/v1/billing'))) return 'exempt';
  if (path.endsWith('/events')) return 'watch';
  return method === 'GET' ? 'read' : 'write';
}

function refuseWith(error: GatewayError): Handler {
  return () => {
    throw error;
  };
}

/** `{id}` is one segment; `{key}` is all that is left, and so is `{path}`, which may be nothing. */
function routerPattern(path: string): string {
  return path.replace('{key}', ':key{.+}').replace('{path}', ':path{.*}').replace('{id}', ':id');
}

function allowedMethods(routes: readonly Route[]): string {
  const methods = new Set<string>(routes.map(([method]) => method));
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods, 'OPTIONS'].join(', ');
}
