import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { drain, listen } from '../shared/listen.ts';
import type { Log } from '../shared/log.ts';
import type { Tracing } from '../shared/tracing.ts';
import { createAcceptance } from './access/acceptance.ts';
import { createApiKeys } from './access/api-keys.ts';
import { createArtifactRecords } from './access/artifact-records.ts';
import { createKeyWatch } from './access/key-watch.ts';
import { createStaticTokens } from './access/static-tokens.ts';
import { createStreamSlots } from './access/stream-slots.ts';
import { createStreamTickets } from './access/stream-tickets.ts';
import { createTopUps } from './access/top-ups.ts';
import { createApp } from './app.ts';
import { GATEWAY_PREFIX, type GatewayConfig } from './config.ts';
import type { Lifecycle } from './context.ts';
import type { Contract } from './contract.ts';
import { createMetrics, type Exposition, exposeProcess, type Metrics } from './metrics.ts';
import { createAllowOrigins } from './middleware/allow-origins.ts';
import { createAuthenticate } from './middleware/authenticate.ts';
import { createIdentify } from './middleware/identify.ts';
import { createLimitBody } from './middleware/limit-body.ts';
import { createObserve } from './middleware/observe.ts';
import { createRenderErrors, renderUnreadable } from './middleware/render-errors.ts';
import { createValidate } from './middleware/validate.ts';
import { createVerifyWebhook } from './middleware/verify-webhook.ts';
import type { Pages } from './pages.ts';
import { createArtifactRoutes } from './routes/artifacts.ts';
import { createBillingRoutes } from './routes/billing.ts';
import { createEventRoutes } from './routes/events.ts';
import { createHealthRoutes } from './routes/health.ts';
import { createLongPolls } from './routes/long-poll.ts';
import { createPageRoutes } from './routes/pages.ts';
import { createWorkflowRoutes } from './routes/workflows.ts';
import { createAddressObserver } from './upstream/address-observer.ts';
import { createArtifactStore } from './upstream/artifact-store.ts';
import { createEventHub } from './upstream/event-hub.ts';
import { followEvents } from './upstream/follow-events.ts';
import { createOrchestrator } from './upstream/orchestrator.ts';
import { createPayments } from './upstream/payments.ts';
import { createReadiness } from './upstream/readiness.ts';
import { createJsonTranscoder } from './wire/json-transcoder/json-transcoder.ts';

/** Longer than proxies keep an idle connection (nginx: 60 s), so that they never send a request into a closed one. */
const KEEP_ALIVE_MS = 75_000;
/** The longest that a shutdown waits for the export of its last spans, in milliseconds. */
const LAST_EXPORT_MS = 2_000;
/** The longest that an open stream goes on between two looks at its key, in milliseconds. */
const KEY_WATCH_MS = 15_000;

export interface Gateway {
  readonly port: number;
  /** Drains: readyz turns 503, streams end, requests finish, and what is left after the grace period is cut. */
  readonly close: () => Promise<void>;
}

export interface GatewayParts {
  readonly log: Log;
  readonly contract: Contract;
  /** Undefined when they were not built: then there is no page. */
  readonly pages?: Pages | undefined;
  readonly metrics?: Metrics;
  /** What is told to scrapers, where that is more than this process knows. */
  readonly exposition?: Exposition;
  /** Undefined: there are no spans. Is closed with the gateway. */
  readonly tracing?: Tracing | undefined;
}

/** Builds the gateway from its settings and opens it. Throws a StartupError. */
export async function startGateway(
  config: GatewayConfig,
  {
    log,
    contract,
    pages,
    tracing,
    metrics = createMetrics({ exemplars: tracing !== undefined }),
    exposition = exposeProcess(metrics),
  }: GatewayParts,
): Promise<Gateway> {
  const timeoutMs = config.ORCHESTRATOR_RPC_TIMEOUT_SECONDS;
  const lifecycle: Lifecycle = { draining: false };
  const { logFault, renderError } = createRenderErrors({ log, metrics });
  const orchestrator = await createOrchestrator({
    endpoint: config.ORCHESTRATOR_ENDPOINT,
    transport: config.ORCHESTRATOR_TRANSPORT,
    keepaliveMs: config.ORCHESTRATOR_KEEPALIVE_SECONDS,
    resolveMs: config.ORCHESTRATOR_RESOLVE_SECONDS,
    observer: createAddressObserver({ metrics, log }),
    tracing,
    metrics,
  });
  const store = await createArtifactStore({
    endpoint: config.R2_ENDPOINT,
    region: config.R2_REGION,
    bucket: config.R2_BUCKET,
    accessKeyId: config.R2_ACCESS_KEY_ID,
    secretAccessKey: config.R2_SECRET_ACCESS_KEY,
    pathStyle: config.R2_FORCE_PATH_STYLE,
    connectTimeoutMs: config.OBJECT_STORE_CONNECT_TIMEOUT_SECONDS,
    answerTimeoutMs: config.OBJECT_STORE_READ_TIMEOUT_SECONDS,
    onFailure: (reason) => metrics.storeFailures.inc({ reason }),
    onAnswer: (outcome, seconds) => metrics.storeDuration.observe({ outcome }, seconds),
    tracing,
  });
  const payments = await createPayments({
    secretKey: config.STRIPE_SECRET_KEY,
    webhookSecrets: config.STRIPE_WEBHOOK_SECRETS,
    endpoint: config.STRIPE_ENDPOINT,
    tracing,
  });
  const apiKeys = createApiKeys({
    orchestrator,
    metrics,
    ttlMs: config.AUTH_CACHE_TTL_SECONDS,
    maxEntries: config.AUTH_CACHE_MAX_ENTRIES,
    lookupTimeoutMs: timeoutMs,
  });
  const hub = createEventHub(
    (follow) =>
      followEvents(orchestrator, { ...follow, lossMs: config.UPSTREAM_LOSS_SECONDS, callTimeoutMs: timeoutMs }),
    metrics,
  );
  const slots = createStreamSlots({
    lifecycle,
    metrics,
    keyWatch: createKeyWatch(apiKeys, Math.min(config.HEARTBEAT_SECONDS, KEY_WATCH_MS)),
    maxPerPrincipal: config.STREAM_MAX_PER_PRINCIPAL,
    maxPerProcess: config.STREAM_MAX_PER_PROCESS,
  });
  const tickets = createStreamTickets(config.STREAM_TICKET_SECRETS);
  if (config.STREAM_TICKET_SECRETS.length === 0) {
    log.warn(`${GATEWAY_PREFIX}STREAM_TICKET_SECRETS is not set: stream tickets are good in this process alone`);
  }
  const transcoder = createJsonTranscoder();
  const limits = {
    heartbeatMs: config.HEARTBEAT_SECONDS,
    bufferBytes: config.STREAM_BUFFER_BYTES,
    stallMs: config.STREAM_STALL_SECONDS,
  };

  const app = createApp({
    identify: createIdentify({ timeoutMs, tracing }),
    observe: createObserve({ metrics, log, lifecycle }),
    allowOrigins: createAllowOrigins(config.CORS_ALLOWED_ORIGINS),
    authenticate: createAuthenticate(contract.document(), {
      isStaticToken: createStaticTokens(config.API_TOKEN),
      apiKeys: config.API_KEYS_ENABLED ? apiKeys : undefined,
      tickets,
    }),
    limitBody: createLimitBody({ limitBytes: config.BODY_LIMIT_BYTES }),
    verifyWebhook: createVerifyWebhook({ payments, metrics }),
    validate: createValidate(contract),
    renderError,
    workflows: createWorkflowRoutes({
      orchestrator,
      acceptance: createAcceptance({ orchestrator, transcoder, apiKeys, log }),
      transcoder,
      longPolls: createLongPolls({ hub, slots }),
      timeoutMs,
    }),
    events: createEventRoutes({ orchestrator, hub, slots, tickets, metrics, lifecycle, limits, logFault }),
    artifacts: createArtifactRoutes({
      records: createArtifactRecords({
        orchestrator,
        metrics,
        bucket: config.R2_BUCKET,
        ttlMs: config.AUTH_CACHE_TTL_SECONDS,
      }),
      store,
      metrics,
      delivery: config.ARTIFACT_DELIVERY,
      idleMs: config.OBJECT_STORE_READ_TIMEOUT_SECONDS,
      logFault,
    }),
    billing: createBillingRoutes({
      orchestrator,
      payments,
      topUps: createTopUps({ orchestrator, metrics, log }),
    }),
    health: createHealthRoutes({
      contract,
      lifecycle,
      metrics: exposition,
      readiness: createReadiness(orchestrator, log),
    }),
    pages: createPageRoutes({
      docs: pages?.docs,
      console: config.CONSOLE_ENABLED ? pages?.console : undefined,
      connectOrigins: config.ARTIFACT_DELIVERY === 'redirect' && store.linkOrigin ? [store.linkOrigin] : [],
    }),
  });

  async function serve(request: Request, env: HttpBindings): Promise<Response> {
    const answer = await app.fetch(request, env);
    // Hono answers HEAD with a copy, which would be written on top of what has been written.
    return env.outgoing.headersSent ? RESPONSE_ALREADY_SENT : answer;
  }
  const listener = getRequestListener((request, env) => serve(request, env as HttpBindings), {
    errorHandler: renderUnreadable,
    // For HTTP/1.0, where a request need not name one.
    hostname: 'localhost',
  });
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, listener);
  const port = await listen(server, config.BIND_ADDR);
  metrics.workers.set(1);
  metrics.heldLimit.set(config.STREAM_MAX_PER_PROCESS);

  async function stop(): Promise<void> {
    lifecycle.draining = true;
    metrics.draining.set(1);
    slots.drain(config.SHUTDOWN_DELAY_SECONDS);
    await sleep(config.SHUTDOWN_DELAY_SECONDS);
    const leftMs = config.SHUTDOWN_GRACE_SECONDS - config.SHUTDOWN_DELAY_SECONDS;
    // What the last requests leave is exported within the grace period, too.
    const exportMs = tracing ? Math.min(LAST_EXPORT_MS, leftMs / 2) : 0;
    await drain(server, leftMs - exportMs, () => {
      // Nobody can scrape any more.
      const { requests, held } = metrics.open;
      log.warn({ requests: requests - held, streams: held }, 'the shutdown cuts what is still open');
    });
    orchestrator.close();
    store.close();
    await tracing?.close(exportMs);
  }

  let stopped: Promise<void> | undefined;
  return {
    port,
    close() {
      stopped ??= stop();
      return stopped;
    },
  };
}
