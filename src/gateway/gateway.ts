import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../shared/log.ts';
import { watchTlsFiles } from '../shared/tls-watch.ts';
import type { Tracing } from '../shared/tracing.ts';
import { createTurnstile } from '../shared/turnstile.ts';
import { createAcceptance } from './access/acceptance.ts';
import { createApiKeys } from './access/api-keys.ts';
import { createArtifactRecords } from './access/artifact-records.ts';
import { createKeyWatch } from './access/key-watch.ts';
import { createRefusedCredentials } from './access/refused-credentials.ts';
import { createStaticTokens } from './access/static-tokens.ts';
import { createStreamSlots } from './access/stream-slots.ts';
import { createStreamTickets } from './access/stream-tickets.ts';
import { createTopUps } from './access/top-ups.ts';
import { createAdmission } from './admission/admission.ts';
import { createApp } from './app.ts';
import { GATEWAY_PREFIX, type GatewayConfig, orchestratorTls } from './config.ts';
import type { Lifecycle } from './context.ts';
import type { Contract } from './contract.ts';
import { type Exposition, exposeProcess } from './exposition.ts';
import { openListener } from './listener/open-listener.ts';
import { createRefusals } from './listener/refusals.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { createAllowOrigins } from './middleware/allow-origins.ts';
import { createAuthenticate } from './middleware/authenticate.ts';
import { createBoundStrangers } from './middleware/bound-strangers.ts';
import { createIdentify } from './middleware/identify.ts';
import { createLimitBody } from './middleware/limit-body.ts';
import { createObserve } from './middleware/observe.ts';
import { createRenderErrors } from './middleware/render-errors.ts';
import { createValidate } from './middleware/validate.ts';
import { createVerifyWebhook } from './middleware/verify-webhook.ts';
import type { Pages } from './pages.ts';
import { createRequestListeners } from './request-listeners.ts';
import { createArtifactRoutes } from './routes/artifacts.ts';
import { createBillingRoutes } from './routes/billing.ts';
import { createEventRoutes } from './routes/events.ts';
import { createHealthRoutes } from './routes/health.ts';
import { createLongPolls } from './routes/long-poll.ts';
import { createPageRoutes } from './routes/pages.ts';
import { createWorkflowRoutes } from './routes/workflows.ts';
import { securityHeaders } from './security-headers.ts';
import { createAddressObserver } from './upstream/address-observer.ts';
import { createArtifactStore, type StoreGuards } from './upstream/artifact-store.ts';
import { createCircuitBreaker } from './upstream/circuit-breaker.ts';
import { createEventHub } from './upstream/event-hub.ts';
import { followEvents } from './upstream/follow-events.ts';
import type { Standings } from './upstream/http2/standing.ts';
import { createOrchestrator } from './upstream/orchestrator.ts';
import { createPayments } from './upstream/payments.ts';
import { createReadiness } from './upstream/readiness.ts';
import { createRetryBudget } from './upstream/retry-budget.ts';
import { createTransferSlots } from './upstream/transfer-slots.ts';
import { createClientAddress } from './wire/client-address.ts';
import { createJsonTranscoder } from './wire/json-transcoder/json-transcoder.ts';

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
  /** Others than usual, for tests of what hides behind them. */
  readonly storeGuards?: StoreGuards | undefined;
  readonly standings?: Standings | undefined;
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
    storeGuards = {
      breaker: createCircuitBreaker({ onChange: (isOpen) => metrics.storeCircuitOpen.set(Number(isOpen)) }),
      retryBudget: createRetryBudget(),
    },
    standings,
  }: GatewayParts,
): Promise<Gateway> {
  const timeoutMs = config.ORCHESTRATOR_RPC_TIMEOUT_SECONDS;
  const lifecycle: Lifecycle = { draining: false };
  const headers = securityHeaders({ tls: config.TLS_CERT_FILE !== '' });
  const { logFault, renderError, renderUnreadable } = createRenderErrors({ log, metrics, headers });
  const orchestratorFiles = orchestratorTls(config);
  const orchestratorWatch =
    orchestratorFiles &&
    watchTlsFiles(orchestratorFiles, {
      log,
      onExpiry: (endsAtMs) => metrics.certificateExpiry.set({ certificate: 'orchestrator' }, endsAtMs / 1000),
    });
  const orchestrator = await createOrchestrator({
    secureContext: orchestratorWatch?.secureContext,
    endpoint: config.ORCHESTRATOR_ENDPOINT,
    transport: config.ORCHESTRATOR_TRANSPORT,
    keepaliveMs: config.ORCHESTRATOR_KEEPALIVE_SECONDS,
    resolveMs: config.ORCHESTRATOR_RESOLVE_SECONDS,
    observer: createAddressObserver({ metrics, log }),
    standings,
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
    guards: storeGuards,
    tracing,
  });
  const readiness = createReadiness({
    orchestrator,
    store,
    metrics,
    log,
    periodMs: config.READINESS_PERIOD_SECONDS,
    threshold: config.READINESS_FAILURE_THRESHOLD,
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
    maxLookups: config.AUTH_MAX_LOOKUPS,
  });
  const turnstile = createTurnstile();
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

  const admission = createAdmission({
    min: config.IN_FLIGHT_MIN,
    max: config.IN_FLIGHT_MAX,
    principalMax: config.PRINCIPAL_MAX_IN_FLIGHT,
    principalPerSecond: config.PRINCIPAL_REQUESTS_PER_SECOND,
    metrics,
  });

  const clientAddress = createClientAddress(config.TRUSTED_PROXIES);
  const frames = {
    identify: createIdentify({ timeoutMs, clientAddress, tracing, headers }),
    observe: createObserve({ metrics, log, lifecycle }),
    allowOrigins: createAllowOrigins(config.CORS_ALLOWED_ORIGINS),
  };
  const app = createApp({
    ...frames,
    admission,
    authenticate: createAuthenticate(contract.document(), {
      isStaticToken: createStaticTokens(config.API_TOKEN),
      apiKeys: config.API_KEYS_ENABLED ? apiKeys : undefined,
      tickets,
      refusedCredentials: createRefusedCredentials(config.AUTH_FAILURES_PER_MINUTE),
      metrics,
    }),
    limitBody: createLimitBody({
      turnstile,
      limitBytes: config.BODY_LIMIT_BYTES,
      minBytesPerSecond: config.BODY_MIN_BYTES_PER_SECOND,
    }),
    boundStrangers: createBoundStrangers(),
    verifyWebhook: createVerifyWebhook({ payments, metrics }),
    validate: createValidate(contract, turnstile),
    renderError,
    workflows: createWorkflowRoutes({
      turnstile,
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
      slots: createTransferSlots({ most: config.OBJECT_STORE_MAX_TRANSFERS, metrics }),
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
      readiness,
    }),
    pages: createPageRoutes({
      docs: pages?.docs,
      console: config.CONSOLE_ENABLED ? pages?.console : undefined,
      connectOrigins: config.ARTIFACT_DELIVERY === 'redirect' && store.linkOrigin ? [store.linkOrigin] : [],
    }),
  });

  const listener = await openListener({
    config,
    clientAddress,
    refusals: createRefusals({ ...frames, headers, renderError, metrics, log }),
    metrics,
    ...createRequestListeners(app, renderUnreadable),
    log,
  });
  readiness.start();
  metrics.workers.set(1);
  metrics.heldLimit.set(config.STREAM_MAX_PER_PROCESS);
  metrics.transfersLimit.set(config.OBJECT_STORE_MAX_TRANSFERS);

  async function stop(): Promise<void> {
    lifecycle.draining = true;
    metrics.draining.set(1);
    slots.drain(config.SHUTDOWN_DELAY_SECONDS);
    await sleep(config.SHUTDOWN_DELAY_SECONDS);
    const leftMs = config.SHUTDOWN_GRACE_SECONDS - config.SHUTDOWN_DELAY_SECONDS;
    // What the last requests leave is exported within the grace period, too.
    const exportMs = tracing ? Math.min(LAST_EXPORT_MS, leftMs / 2) : 0;
    await listener.drain(leftMs - exportMs, () => {
      // Nobody can scrape any more.
      const { requests, held } = metrics.open;
      log.warn({ requests: requests - held, streams: held }, 'the shutdown cuts what is still open');
    });
    listener.close();
    admission.close();
    readiness.close();
    orchestrator.close();
    orchestratorWatch?.close();
    store.close();
    await tracing?.close(exportMs);
  }

  let stopped: Promise<void> | undefined;
  return {
    port: listener.port,
    close() {
      stopped ??= stop();
      return stopped;
    },
  };
}
