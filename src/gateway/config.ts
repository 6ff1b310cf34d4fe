import os from 'node:os';
import { LOG_LEVELS } from '../shared/log.ts';
import * as setting from '../shared/settings.ts';
import { EX_CONFIG, StartupError } from '../shared/startup-error.ts';
import { nameTlsFiles, readTlsFiles, type TlsFiles } from '../shared/tls-files.ts';
import { isSeveral, readEndpoints } from './upstream/endpoints.ts';

export const GATEWAY_PREFIX = 'FOLDFORGE_GATEWAY__';

const MAX_WORKERS = 256;

/** Every setting of the gateway. Durations are written in seconds and read as milliseconds. */
export const gatewaySettings = {
  BIND_ADDR: setting.address('0.0.0.0:8080', 'HTTP listen address'),
  TLS_CERT_FILE: setting.text(
    '',
    'PEM file of the certificate, with its chain, that the gateway shows; with it the gateway speaks TLS, HTTP/2 and HTTP/1.1; read again when it changes; empty: plain HTTP/1.1',
  ),
  TLS_KEY_FILE: setting.text('', 'PEM file of its private key'),
  ALLOWED_HOSTS: setting.hostList(
    'names that a Host header may have, such as api.example.org, with commas between them; probes and metrics may have any; empty: any',
  ),
  TRUSTED_PROXIES: setting.networkList(
    'addresses and networks of proxies, such as 10.0.0.0/8, with commas between them: what they say of the client in Forwarded or X-Forwarded-For is believed, and nobody else',
  ),
  HEADER_TIMEOUT_SECONDS: setting.seconds(
    '10',
    'time that a client has to send the head of a request, and to begin with the first one on a connection',
  ),
  BODY_TIMEOUT_SECONDS: setting.seconds(
    '60',
    'time that a client has to send a request, with its body; not less than the one before',
  ),
  BODY_MIN_BYTES_PER_SECOND: setting.number('1024', 'least rate of a body, from its sixth second on', {
    min: 0,
    max: 67_108_864,
  }),
  // A system asks for more when a third of its buffer is free, which may be 1.5 MB: an honest client has to take that.
  SEND_TIMEOUT_SECONDS: setting.seconds('60', 'time for which a client may take nothing of its answer'),
  IDLE_TIMEOUT_SECONDS: setting.seconds(
    '75',
    'time for which a connection may wait for its next request; longer than proxies keep theirs',
    { min: 1 },
  ),
  HEADER_LIMIT_BYTES: setting.number('16384', 'largest head of a request', { min: 1024, max: 1_048_576 }),
  HEADER_LIMIT_COUNT: setting.number('100', 'most header fields of a request', { min: 10, max: 2000 }),
  URL_LIMIT_BYTES: setting.number('8192', 'longest request target', { min: 256, max: 1_048_576 }),
  CONNECTION_MAX_REQUESTS: setting.number('10000', 'requests on one connection, after which it is closed', {
    min: 1,
    max: 1_000_000_000,
  }),
  CONNECTIONS_MAX: setting.number('25000', 'connections that the process may have open', { min: 1, max: 1_000_000 }),
  CONNECTIONS_MAX_PER_ADDRESS: setting.number(
    '2000',
    'connections that one client address may have open; those of TRUSTED_PROXIES are not counted',
    { min: 1, max: 1_000_000 },
  ),
  IN_FLIGHT_MIN: setting.number('20', 'requests that the process may be working on whatever the load', {
    min: 1,
    max: 100_000,
  }),
  IN_FLIGHT_MAX: setting.number(
    '1000',
    'requests that the process may be working on, and the few of each principal besides; under load the limit adapts itself to less',
    { min: 1, max: 100_000 },
  ),
  PRINCIPAL_MAX_IN_FLIGHT: setting.number('100', 'requests of one principal that the process may be working on', {
    min: 1,
    max: 100_000,
  }),
  PRINCIPAL_REQUESTS_PER_SECOND: setting.number(
    '200',
    'requests of one principal that the process takes in a second, and twice as many at once; 0: any',
    { min: 0, max: 1_000_000 },
  ),
  ORCHESTRATOR_ENDPOINT: setting.setting(
    parseEndpoint,
    'http://127.0.0.1:50051',
    'gRPC upstream; `https://` for TLS; several: URLs with commas between them, or `dns:///name:port`',
  ),
  API_TOKEN: setting.secretList(
    'dev-token',
    'static admin token, always valid, without quota or principal; several, with commas between them, allow rotation; the default is refused unless BIND_ADDR is loopback',
  ),
  ORCHESTRATOR_RPC_TIMEOUT_SECONDS: setting.seconds('10', "deadline of one request's upstream calls together"),
  ORCHESTRATOR_RESOLVE_SECONDS: setting.seconds(
    '30',
    "time after which the orchestrators' names are looked up again, while they are in use",
    { min: 0.05 },
  ),
  ORCHESTRATOR_KEEPALIVE_SECONDS: setting.seconds(
    '310',
    'time between pings on a connection with open calls; many gRPC servers hang up on more than one in 5 minutes',
    { min: 1 },
  ),
  ORCHESTRATOR_CA_FILE: setting.text(
    '',
    "PEM file of the authorities that the orchestrators' certificates may be from; empty: the usual ones",
  ),
  ORCHESTRATOR_CERT_FILE: setting.text('', 'PEM file of the certificate that the gateway shows to orchestrators'),
  ORCHESTRATOR_KEY_FILE: setting.text('', 'PEM file of its private key'),
  ORCHESTRATOR_TRANSPORT: setting.choice(
    ['direct', 'session', 'stock'],
    'direct',
    "what carries the calls: direct, our own HTTP/2 client; session, unary calls on node:http2; stock, connect-node's transport",
  ),
  CORS_ALLOWED_ORIGINS: setting.originList(
    'origins whose pages may call the API from a browser, such as https://app.example.org, with commas between them; empty: none but its own',
  ),
  CONSOLE_ENABLED: setting.flag('false', 'serve the web console at /console'),
  API_KEYS_ENABLED: setting.flag('false', 'per-user API keys and quotas'),
  AUTH_CACHE_TTL_SECONDS: setting.seconds('30', 'how long a good key is remembered, and a revoked one still works'),
  AUTH_CACHE_MAX_ENTRIES: setting.number('10000', 'cap of that cache', { min: 1, max: 10_000_000 }),
  AUTH_MAX_LOOKUPS: setting.number('64', 'unknown keys that may be looked up at the same time', {
    min: 1,
    max: 10_000,
  }),
  AUTH_FAILURES_PER_MINUTE: setting.number(
    '600',
    'credentials of one client address that may be refused in a minute; then only keys that are known are taken from it; 0: any number',
    { min: 0, max: 1_000_000 },
  ),
  BODY_LIMIT_BYTES: setting.number('1048576', 'largest request body', { min: 1024, max: 67_108_864 }),
  HEARTBEAT_SECONDS: setting.seconds('15', 'silence on an event stream after which a heartbeat is sent'),
  STREAM_BUFFER_BYTES: setting.number('262144', 'bytes by which a reader of events may fall behind', {
    min: 4096,
    max: 67_108_864,
  }),
  STREAM_STALL_SECONDS: setting.seconds('30', 'time for which a reader of events may take nothing'),
  STREAM_MAX_PER_PRINCIPAL: setting.number('1000', 'event streams and long polls that one principal may have open', {
    min: 1,
    max: 1_000_000,
  }),
  STREAM_MAX_PER_PROCESS: setting.number('20000', 'event streams and long polls that the process may have open', {
    min: 1,
    max: 1_000_000,
  }),
  STREAM_TICKET_SECRETS: setting.secretList(
    '',
    'what signs stream tickets, 32 characters or more, shared by all replicas; several, with commas between them: the first signs, all are accepted; empty: made up at the start, for a single replica',
    { optional: true, minLength: 32 },
  ),
  UPSTREAM_LOSS_SECONDS: setting.seconds('30', 'how long event streams wait for a lost orchestrator to come back'),
  OBJECT_STORE_CONNECT_TIMEOUT_SECONDS: setting.seconds('5', 'connect bound'),
  OBJECT_STORE_READ_TIMEOUT_SECONDS: setting.seconds('30', 'idle-read bound while streaming'),
  OBJECT_STORE_MAX_TRANSFERS: setting.number(
    '256',
    'downloads that the process may have open; one principal may have half of them',
    {
      min: 1,
      max: 100_000,
    },
  ),
  READINESS_FAILURE_THRESHOLD: setting.number(
    '3',
    'probes of the orchestrator that must fail in a row before readyz says 503; at the start the first one must succeed',
    { min: 1, max: 100 },
  ),
  READINESS_PERIOD_SECONDS: setting.seconds(
    '1',
    'time between two probes of the orchestrator; one without the health service is probed a fifth as often, the object store a tenth',
  ),
  R2_ENDPOINT: setting.httpUrl('', 'object store; empty: downloads answer 503', { optional: true }),
  R2_REGION: setting.text('auto', 'region that requests to the store are signed for'),
  R2_BUCKET: setting.text('foldforge', 'the one bucket that artifacts are served from'),
  R2_ACCESS_KEY_ID: setting.secret('', "the store's access key"),
  R2_SECRET_ACCESS_KEY: setting.secret('', "the store's secret key"),
  R2_FORCE_PATH_STYLE: setting.flag('true', 'the bucket stands in the path of a URL rather than before its host name'),
  ARTIFACT_DELIVERY: setting.choice(
    ['proxy', 'redirect'],
    'proxy',
    'proxy: downloads go through the gateway; redirect: clients get a link to the store, which they must be able to reach, for 60 s',
  ),
  STRIPE_SECRET_KEY: setting.secret('', 'key of the Stripe account that sells credits; empty: checkout answers 503'),
  STRIPE_WEBHOOK_SECRETS: setting.secretList(
    '',
    'what Stripe signs the events of the webhook endpoint with; several, with commas between them, allow rotation; empty: the webhook answers 503',
    { optional: true },
  ),
  STRIPE_ENDPOINT: setting.httpUrl('https://api.stripe.com', 'API of Stripe, without a path; another one for tests'),
  SHUTDOWN_DELAY_SECONDS: setting.seconds('2', 'time between readyz turning 503 and the listener closing', { min: 0 }),
  SHUTDOWN_GRACE_SECONDS: setting.seconds('25', 'time after which a shutdown cuts what is still open'),
  WORKERS: setting.setting(
    parseWorkers,
    '1',
    'processes that serve requests, on one address; `auto`: one for each core that the program may use',
  ),
  LOG_LEVEL: setting.choice(LOG_LEVELS, 'info', 'least level that is logged'),
} satisfies setting.Settings;

export type GatewayConfig = setting.Values<typeof gatewaySettings>;

/** Throws a StartupError (exit code 78) that names the variable. */
export function readGatewayConfig(environment: setting.Environment): GatewayConfig {
  const config = setting.readSettings(GATEWAY_PREFIX, gatewaySettings, environment);
  const { API_TOKEN, BIND_ADDR, SHUTDOWN_DELAY_SECONDS, SHUTDOWN_GRACE_SECONDS } = config;
  const { R2_ENDPOINT, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY } = config;
  if (API_TOKEN.includes('dev-token') && !isLoopback(BIND_ADDR.host)) {
    refuse(
      `API_TOKEN is dev-token, which is accepted only while ${GATEWAY_PREFIX}BIND_ADDR is loopback; set a token of your own, or bind to 127.0.0.1`,
    );
  }
  if (SHUTDOWN_DELAY_SECONDS > SHUTDOWN_GRACE_SECONDS) {
    refuse(`SHUTDOWN_DELAY_SECONDS is longer than ${GATEWAY_PREFIX}SHUTDOWN_GRACE_SECONDS`);
  }
  if (config.HEADER_TIMEOUT_SECONDS > config.BODY_TIMEOUT_SECONDS) {
    refuse(
      `HEADER_TIMEOUT_SECONDS is longer than ${GATEWAY_PREFIX}BODY_TIMEOUT_SECONDS, which is for the whole request`,
    );
  }
  if (config.IN_FLIGHT_MIN > config.IN_FLIGHT_MAX) {
    refuse(`IN_FLIGHT_MIN is more than ${GATEWAY_PREFIX}IN_FLIGHT_MAX`);
  }
  if (config.ORCHESTRATOR_TRANSPORT !== 'direct' && isSeveral(config.ORCHESTRATOR_ENDPOINT)) {
    refuse(
      `ORCHESTRATOR_ENDPOINT has several endpoints, or dns:///, which only ${GATEWAY_PREFIX}ORCHESTRATOR_TRANSPORT=direct can use; ${config.ORCHESTRATOR_TRANSPORT} takes one http:// or https:// URL`,
    );
  }
  if (!API_TOKEN.every(isVisibleAscii)) {
    refuse('API_TOKEN must be visible ASCII characters without spaces');
  }
  if (R2_ENDPOINT && !(R2_ACCESS_KEY_ID && R2_SECRET_ACCESS_KEY)) {
    refuse(
      `R2_ENDPOINT is set, so ${GATEWAY_PREFIX}R2_ACCESS_KEY_ID and ${GATEWAY_PREFIX}R2_SECRET_ACCESS_KEY must be set too`,
    );
  }
  checkStripe(config);
  checkTls(config);
  return config;
}

/** What the gateway shows to its clients; undefined: they are served without TLS. */
export function listenerTls(config: GatewayConfig): TlsFiles | undefined {
  return nameTlsFiles(GATEWAY_PREFIX, config, { cert: 'TLS_CERT_FILE', key: 'TLS_KEY_FILE' });
}

/** What the gateway trusts in orchestrators and shows to them; undefined: the usual authorities, and nothing. */
export function orchestratorTls(config: GatewayConfig): TlsFiles | undefined {
  const names = { ca: 'ORCHESTRATOR_CA_FILE', cert: 'ORCHESTRATOR_CERT_FILE', key: 'ORCHESTRATOR_KEY_FILE' } as const;
  return nameTlsFiles(GATEWAY_PREFIX, config, names);
}

function parseEndpoint(text: string): string {
  readEndpoints(text);
  return text
    .split(',')
    .map((entry) => entry.trim().replace(/\/+$/, ''))
    .join(',');
}

function parseWorkers(text: string): number {
  if (text === 'auto') return Math.min(os.availableParallelism(), MAX_WORKERS);
  const workers = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (workers >= 1 && workers <= MAX_WORKERS) return workers;
  throw new Error(`is "${text}", but must be auto or a whole number from 1 to ${MAX_WORKERS}`);
}

function checkStripe({ STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRETS, STRIPE_ENDPOINT }: GatewayConfig): void {
  if (STRIPE_SECRET_KEY && STRIPE_WEBHOOK_SECRETS.length === 0) {
    refuse(
      `STRIPE_SECRET_KEY is set, so ${GATEWAY_PREFIX}STRIPE_WEBHOOK_SECRETS must be set too: without it, what is paid would not be credited`,
    );
  }
  if (STRIPE_SECRET_KEY && !isVisibleAscii(STRIPE_SECRET_KEY)) {
    refuse('STRIPE_SECRET_KEY must be visible ASCII characters without spaces');
  }
  if (new URL(STRIPE_ENDPOINT).pathname !== '/') {
    refuse('STRIPE_ENDPOINT must have no path');
  }
}

function checkTls(config: GatewayConfig): void {
  const toClients = listenerTls(config);
  if (toClients) readTlsFiles(toClients);
  const toOrchestrators = orchestratorTls(config);
  if (!toOrchestrators) return;
  if (readEndpoints(config.ORCHESTRATOR_ENDPOINT)[0]!.protocol !== 'https:') {
    const { variable } = (toOrchestrators.ca ?? toOrchestrators.cert)!;
    throw new StartupError(
      `${variable} is set, but ${GATEWAY_PREFIX}ORCHESTRATOR_ENDPOINT is not https://, so it would not be used`,
      EX_CONFIG,
    );
  }
  readTlsFiles(toOrchestrators);
}

/** `problem` begins with the name of a setting. */
function refuse(problem: string): never {
  throw new StartupError(`${GATEWAY_PREFIX}${problem}`, EX_CONFIG);
}

function isVisibleAscii(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
