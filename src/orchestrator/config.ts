import { randomBytes } from 'node:crypto';
import os from 'node:os';
import { LOG_LEVELS, type LogLevel } from '../shared/log.ts';
import {
  type Address,
  address,
  choice,
  type Environment,
  flag,
  httpUrl,
  number,
  readSettings,
  type Setting,
  seconds,
  secret,
  setting,
  text,
  type Values,
} from '../shared/settings.ts';
import { EX_CONFIG, StartupError } from '../shared/startup-error.ts';
import { nameTlsFiles, readTlsFiles, type TlsFiles } from '../shared/tls-files.ts';
import type { Tool } from './runners/runner.ts';

export const ORCHESTRATOR_PREFIX = 'FOLDFORGE_ORCH__';
const MAX_PRICE = 1_000_000;
const MAX_RETRIES = 100;
const SIDECAR_RETRIES = 2;

/** Every setting of the orchestrator, by its name without the prefix. */
export const orchestratorSettings = {
  DATABASE_URL: databaseUrl('Postgres, as postgresql://user:password@host:port/database'),
  BIND_ADDR: address('0.0.0.0:50051', 'gRPC listen address'),
  TLS_CERT_FILE: text(
    '',
    'PEM file of the certificate, with its chain, that the gRPC listener shows; read again when it changes; empty: without TLS',
  ),
  TLS_KEY_FILE: text('', 'PEM file of its private key'),
  TLS_CLIENT_CA_FILE: text(
    '',
    "PEM file of the authorities that clients' certificates must be from; empty: clients need not show one",
  ),
  METRICS_ADDR: address('0.0.0.0:9090', 'Prometheus listen address'),
  RUNNER: choice(
    ['mock', ''],
    'mock',
    'mock runs every tool without a GPU; empty means real sidecars, as does leaving it out when a SIDECAR_ variable is set',
  ),
  SIDECAR_RFDIFFUSION: httpUrl('http://127.0.0.1:50061', 'RFdiffusion sidecar'),
  SIDECAR_PROTEINMPNN: httpUrl('http://127.0.0.1:50062', 'ProteinMPNN sidecar'),
  SIDECAR_BOLTZ: httpUrl('http://127.0.0.1:50063', 'Boltz sidecar'),
  SIDECAR_AF2: httpUrl('http://127.0.0.1:50064', 'AlphaFold 2 sidecar'),
  SIDECAR_CA_FILE: text(
    '',
    'PEM file of the authorities that certificates of https:// sidecars may be from; empty: the usual ones',
  ),
  R2_ENDPOINT: httpUrl('', 'object store that artifacts go to', { optional: true }),
  R2_REGION: text('auto', 'region of the object store'),
  R2_BUCKET: text('foldforge', 'bucket that artifacts go to'),
  R2_ACCESS_KEY_ID: secret('', 'access key of the object store'),
  R2_SECRET_ACCESS_KEY: secret('', 'secret key of the object store'),
  R2_FORCE_PATH_STYLE: flag('true', 'the bucket stands in the path of a URL rather than before its host name'),
  BILLING_ENABLED: flag('false', 'debit credits on submit'),
  PRICE_PER_STEP: price('10', `credits per step, clamped to 0..${MAX_PRICE}`),
  MOCK_STEP_SECONDS: seconds('3', 'about how long each step of the mock runner takes', { min: 0, max: 3600 }),
  CONCURRENCY: number(
    '32',
    'steps of the tools without a limit that run at a time in each process; all on one database must be told the same',
    {
      min: 1,
      max: 1000,
    },
  ),
  CONCURRENCY_RFDIFFUSION: toolLimit('RFdiffusion'),
  CONCURRENCY_PROTEINMPNN: toolLimit('ProteinMPNN'),
  CONCURRENCY_BOLTZ: toolLimit('Boltz'),
  CONCURRENCY_AF2: toolLimit('AlphaFold 2'),
  STEP_RETRIES: retries(
    'how often a step is tried again by itself after a fault that may pass; empty: 2, with the mock runner 0',
  ),
  STEP_RETRY_DELAY_SECONDS: seconds('5', 'pause before the first such retry; it doubles with each, up to 300 s', {
    min: 0.05,
    max: 300,
  }),
  EVENT_RETENTION_DAYS: number('0', 'days for which a workflow that is over keeps its events; 0 means for ever', {
    min: 0,
    max: 36_500,
    fraction: true,
  }),
  RETAIN_DAYS: number(
    '0',
    'days after which a workflow that is over is removed, with all that belongs to it; 0 means never',
    {
      min: 0,
      max: 36_500,
      fraction: true,
    },
  ),
  EXECUTOR_ID: executorId(
    'name of this process, unique among those on one database; empty: host name and a random part',
  ),
  LOG_LEVEL: choice(LOG_LEVELS, 'info', 'least level that is logged'),
};

export interface ObjectStoreConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly pathStyle: boolean;
}

export interface BillingConfig {
  readonly enabled: boolean;
  /** Credits. */
  readonly pricePerStep: bigint;
}

/** How many steps of a tool run at a time, in all replicas together; 0 is as many as there is room for. */
export type ToolLimits = Readonly<Record<Tool, number>>;

/** What happens after a fault that may pass. */
export interface RetryPolicy {
  /** How often a step is tried again by itself. */
  readonly limit: number;
  /** Before the first retry; it doubles with each. */
  readonly delayMs: number;
}

export interface OrchestratorConfig {
  /** Empty when it was not given: whoever starts the orchestrator must then bring a database. */
  readonly databaseUrl: string;
  readonly bindAddr: Address;
  /** What the gRPC listener shows, and the authorities of its clients; undefined: without TLS. */
  readonly tls: TlsFiles | undefined;
  readonly metricsAddr: Address;
  /** Its `endpoint` is empty when it was not given. */
  readonly objectStore: ObjectStoreConfig;
  readonly billing: BillingConfig;
  readonly runner: 'mock' | 'sidecars';
  /** http or https URLs. */
  readonly sidecars: Readonly<Record<Tool, string>>;
  /** The authorities of https sidecars; undefined: the usual ones. */
  readonly sidecarTls: TlsFiles | undefined;
  readonly mockStepSeconds: number;
  readonly concurrency: number;
  readonly limits: ToolLimits;
  readonly retries: RetryPolicy;
  /** 0 means for ever. */
  readonly eventRetentionDays: number;
  /** 0 means for ever. */
  readonly retainDays: number;
  readonly executorId: string;
  readonly logLevel: LogLevel;
}

/** Throws StartupError (exit code 78), one line that names each bad variable. */
export function readOrchestratorConfig(environment: Environment): OrchestratorConfig {
  const values = readSettings(ORCHESTRATOR_PREFIX, orchestratorSettings, environment);
  const given = (name: string) => environment[ORCHESTRATOR_PREFIX + name] !== undefined;
  const namesSidecar = Object.keys(orchestratorSettings).some((name) => name.startsWith('SIDECAR_') && given(name));
  const runner = values.RUNNER === '' || (namesSidecar && !given('RUNNER')) ? 'sidecars' : 'mock';
  return {
    databaseUrl: values.DATABASE_URL,
    bindAddr: values.BIND_ADDR,
    tls: listenerTls(values),
    metricsAddr: values.METRICS_ADDR,
    objectStore: {
      endpoint: values.R2_ENDPOINT,
      region: values.R2_REGION,
      bucket: values.R2_BUCKET,
      accessKeyId: values.R2_ACCESS_KEY_ID,
      secretAccessKey: values.R2_SECRET_ACCESS_KEY,
      pathStyle: values.R2_FORCE_PATH_STYLE,
    },
    billing: { enabled: values.BILLING_ENABLED, pricePerStep: values.PRICE_PER_STEP },
    runner,
    sidecars: {
      rfdiffusion: values.SIDECAR_RFDIFFUSION,
      proteinmpnn: values.SIDECAR_PROTEINMPNN,
      boltz: values.SIDECAR_BOLTZ,
      af2: values.SIDECAR_AF2,
    },
    sidecarTls: nameTlsFiles(ORCHESTRATOR_PREFIX, values, { ca: 'SIDECAR_CA_FILE' }),
    mockStepSeconds: values.MOCK_STEP_SECONDS / 1000,
    concurrency: values.CONCURRENCY,
    limits: {
      rfdiffusion: values.CONCURRENCY_RFDIFFUSION,
      proteinmpnn: values.CONCURRENCY_PROTEINMPNN,
      boltz: values.CONCURRENCY_BOLTZ,
      af2: values.CONCURRENCY_AF2,
    },
    retries: {
      limit: values.STEP_RETRIES ?? (runner === 'mock' ? 0 : SIDECAR_RETRIES),
      delayMs: values.STEP_RETRY_DELAY_SECONDS,
    },
    eventRetentionDays: values.EVENT_RETENTION_DAYS,
    retainDays: values.RETAIN_DAYS,
    executorId: values.EXECUTOR_ID || uniqueExecutorId(),
    logLevel: values.LOG_LEVEL,
  };
}

/** What a program of its own cannot do without. Throws StartupError (exit code 78). */
export function requireBackends({ databaseUrl, objectStore }: OrchestratorConfig): void {
  const missing: string[] = [];
  if (!databaseUrl) {
    missing.push(`${ORCHESTRATOR_PREFIX}DATABASE_URL is not set; set it, or use npm start, which brings a Postgres`);
  }
  if (!objectStore.endpoint) {
    missing.push(`${ORCHESTRATOR_PREFIX}R2_ENDPOINT is not set; artifacts need an object store to go to`);
  }
  if (objectStore.endpoint && !(objectStore.accessKeyId && objectStore.secretAccessKey)) {
    missing.push(
      `${ORCHESTRATOR_PREFIX}R2_ENDPOINT is set, so ${ORCHESTRATOR_PREFIX}R2_ACCESS_KEY_ID and ${ORCHESTRATOR_PREFIX}R2_SECRET_ACCESS_KEY must be set too`,
    );
  }
  if (missing.length > 0) throw new StartupError(missing.join('; '), EX_CONFIG);
}

/** Whether the files of TLS can be used. Throws StartupError (exit code 78). */
export function checkTlsFiles({ tls, sidecarTls, sidecars }: OrchestratorConfig): void {
  if (tls) readTlsFiles(tls);
  if (!sidecarTls) return;
  if (!Object.values(sidecars).some((endpoint) => endpoint.startsWith('https:'))) {
    const message = `${ORCHESTRATOR_PREFIX}SIDECAR_CA_FILE is set, but no sidecar is https://, so it would not be used`;
    throw new StartupError(message, EX_CONFIG);
  }
  readTlsFiles(sidecarTls);
}

function listenerTls(values: Values<typeof orchestratorSettings>): TlsFiles | undefined {
  const names = { cert: 'TLS_CERT_FILE', key: 'TLS_KEY_FILE', ca: 'TLS_CLIENT_CA_FILE' } as const;
  const files = nameTlsFiles(ORCHESTRATOR_PREFIX, values, names);
  if (!files || files.cert) return files;
  throw new StartupError(
    `${ORCHESTRATOR_PREFIX}TLS_CLIENT_CA_FILE is set, so ${ORCHESTRATOR_PREFIX}TLS_CERT_FILE must be set too`,
    EX_CONFIG,
  );
}

function databaseUrl(desc: string): Setting<string> {
  const parse = (value: string) => {
    if (value === '' || (URL.canParse(value) && /^postgres(ql)?:$/.test(new URL(value).protocol))) return value;
    throw new Error('must be a URL such as postgresql://user:password@host:5432/database');
  };
  return setting(parse, '', desc, true);
}

function price(defaultText: string, desc: string): Setting<bigint> {
  const parse = (value: string) => {
    if (!/^-?\d{1,18}$/.test(value)) throw new Error(`is "${value}", but must be a whole number`);
    return BigInt(Math.min(Math.max(Number(value), 0), MAX_PRICE));
  };
  return setting<bigint>(parse, defaultText, desc);
}

function executorId(desc: string): Setting<string> {
  const parse = (value: string) => {
    if (/^[\w.-]{0,100}$/.test(value)) return value;
    throw new Error('must be 1 to 100 letters, digits, dots, dashes or underscores');
  };
  return setting(parse, '', desc);
}

/** A process that is started again is another one: what it was running is found by the others, as if it had died. */
function uniqueExecutorId(): string {
  const host = os
    .hostname()
    .replace(/[^\w.-]/g, '-')
    .slice(0, 80);
  return `${host}-${randomBytes(4).toString('hex')}`;
}

function toolLimit(tool: string): Setting<number> {
  const desc = `steps of ${tool} that run at a time in all processes on one database, which must be told the same; 0: no limit`;
  return number('0', desc, { min: 0, max: 10_000 });
}

/** Undefined when it is empty. */
function retries(desc: string): Setting<number | undefined> {
  const parse = (value: string) => {
    if (value === '') return undefined;
    if (/^\d{1,3}$/.test(value) && Number(value) <= MAX_RETRIES) return Number(value);
    throw new Error(`is "${value}", but must be a whole number from 0 to ${MAX_RETRIES}`);
  };
  return setting<number | undefined>(parse, '', desc);
}
