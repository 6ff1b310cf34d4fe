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
} from '../shared/settings.ts';
import { EX_CONFIG, StartupError } from '../shared/startup-error.ts';

export const ORCHESTRATOR_PREFIX = 'FOLDFORGE_ORCH__';
const MAX_PRICE = 1_000_000;

/** Every setting of the orchestrator, by its name without the prefix. */
export const orchestratorSettings = {
  DATABASE_URL: databaseUrl('Postgres, as postgresql://user:password@host:port/database'),
  BIND_ADDR: address('0.0.0.0:50051', 'gRPC listen address'),
  METRICS_ADDR: address('0.0.0.0:9090', 'Prometheus listen address'),
  RUNNER: choice(['mock', ''], 'mock', 'mock runs every tool without a GPU; empty means real sidecars'),
  SIDECAR_RFDIFFUSION: httpUrl('http://127.0.0.1:50061', 'RFdiffusion sidecar'),
  SIDECAR_PROTEINMPNN: httpUrl('http://127.0.0.1:50062', 'ProteinMPNN sidecar'),
  SIDECAR_BOLTZ: httpUrl('http://127.0.0.1:50063', 'Boltz sidecar'),
  SIDECAR_AF2: httpUrl('http://127.0.0.1:50064', 'AlphaFold 2 sidecar'),
  R2_ENDPOINT: httpUrl('', 'object store that artifacts go to', { optional: true }),
  R2_REGION: text('auto', 'region of the object store'),
  R2_BUCKET: text('foldforge', 'bucket that artifacts go to'),
  R2_ACCESS_KEY_ID: secret('', 'access key of the object store'),
  R2_SECRET_ACCESS_KEY: secret('', 'secret key of the object store'),
  R2_FORCE_PATH_STYLE: flag('true', 'the bucket stands in the path of a URL rather than before its host name'),
  BILLING_ENABLED: flag('false', 'debit credits on submit'),
  PRICE_PER_STEP: price('10', `credits per step, clamped to 0..${MAX_PRICE}`),
  MOCK_STEP_SECONDS: seconds('3', 'about how long each step of the mock runner takes', { min: 0, max: 3600 }),
  CONCURRENCY: number('32', 'steps that run at a time in this process', { min: 1, max: 1000 }),
  EVENT_RETENTION_DAYS: number('0', 'days for which a workflow that is over keeps its events; 0 means for ever', {
    min: 0,
    max: 36_500,
    fraction: true,
  }),
  EXECUTOR_ID: executorId('local', 'name of this process; unique among the processes on one database'),
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

export interface OrchestratorConfig {
  /** Empty when it was not given: whoever starts the orchestrator must then bring a database. */
  readonly databaseUrl: string;
  readonly bindAddr: Address;
  readonly metricsAddr: Address;
  /** Its `endpoint` is empty when it was not given. */
  readonly objectStore: ObjectStoreConfig;
  readonly billing: BillingConfig;
  readonly mockStepSeconds: number;
  readonly concurrency: number;
  /** 0 means for ever. */
  readonly eventRetentionDays: number;
  readonly executorId: string;
  readonly logLevel: LogLevel;
}

/** Throws StartupError (exit code 78), one line that names each bad variable. */
export function readOrchestratorConfig(environment: Environment): OrchestratorConfig {
  const values = readSettings(ORCHESTRATOR_PREFIX, orchestratorSettings, environment);
  refuseSidecars(values.RUNNER, environment);
  return {
    databaseUrl: values.DATABASE_URL,
    bindAddr: values.BIND_ADDR,
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
    mockStepSeconds: values.MOCK_STEP_SECONDS / 1000,
    concurrency: values.CONCURRENCY,
    eventRetentionDays: values.EVENT_RETENTION_DAYS,
    executorId: values.EXECUTOR_ID,
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

function refuseSidecars(runner: 'mock' | '', environment: Environment): void {
  const given = (name: string) => environment[ORCHESTRATOR_PREFIX + name] !== undefined;
  const sidecar = Object.keys(orchestratorSettings).find((name) => name.startsWith('SIDECAR_') && given(name));
  const wanted = runner === '' ? 'RUNNER' : given('RUNNER') ? undefined : sidecar;
  if (!wanted) return;
  throw new StartupError(
    `${ORCHESTRATOR_PREFIX}${wanted} asks for real sidecars, but this version only has ${ORCHESTRATOR_PREFIX}RUNNER=mock`,
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

function executorId(defaultText: string, desc: string): Setting<string> {
  const parse = (value: string) => {
    if (/^[\w.-]{1,100}$/.test(value)) return value;
    throw new Error('must be 1 to 100 letters, digits, dots, dashes or underscores');
  };
  return setting(parse, defaultText, desc);
}
