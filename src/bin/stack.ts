import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { startObjectStore } from '../embedded/object-store.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { GATEWAY_PREFIX, gatewaySettings, readGatewayConfig } from '../gateway/config.ts';
import { readContract } from '../gateway/contract.ts';
import { startGateway } from '../gateway/gateway.ts';
import {
  checkTlsFiles,
  ORCHESTRATOR_PREFIX,
  type OrchestratorConfig,
  orchestratorSettings,
  readOrchestratorConfig,
} from '../orchestrator/config.ts';
import { startOrchestrator } from '../orchestrator/orchestrator.ts';
import { formatAddress } from '../shared/listen.ts';
import { createLog, type Log } from '../shared/log.ts';
import type { Address, Environment } from '../shared/settings.ts';
import { type ShownSetting, showSettings } from '../shared/shown-settings.ts';
import { EX_CONFIG, StartupError } from '../shared/startup-error.ts';
import { createTracing } from '../shared/tracing.ts';
import { readTracingConfig } from '../shared/tracing-config.ts';
import { createDataDir, publishDatabaseUrl } from './data-dir.ts';
import { openPages } from './pages.ts';
import { exitWith } from './program.ts';

const GATEWAY_NAME = 'foldforge-gateway';
const ORCHESTRATOR_NAME = 'foldforge-orchestrator';

/** What the programs are told unless the environment says otherwise: loopback, quiet, and quick to stop. */
export const LAPTOP_DEFAULTS: Environment = {
  [`${GATEWAY_PREFIX}BIND_ADDR`]: '127.0.0.1:8080',
  [`${GATEWAY_PREFIX}API_KEYS_ENABLED`]: 'true',
  [`${GATEWAY_PREFIX}CONSOLE_ENABLED`]: 'true',
  [`${GATEWAY_PREFIX}SHUTDOWN_DELAY_SECONDS`]: '0',
  [`${GATEWAY_PREFIX}SHUTDOWN_GRACE_SECONDS`]: '5',
  [`${GATEWAY_PREFIX}LOG_LEVEL`]: 'warn',
  [`${ORCHESTRATOR_PREFIX}BIND_ADDR`]: '127.0.0.1:50051',
  [`${ORCHESTRATOR_PREFIX}METRICS_ADDR`]: '127.0.0.1:9090',
  [`${ORCHESTRATOR_PREFIX}LOG_LEVEL`]: 'warn',
};

/** The settings of both programs as `npm start` reads them. Throws a StartupError that names what is wrong. */
export function readStackConfig(environment: Environment) {
  const given: Environment = { ...LAPTOP_DEFAULTS, ...environment };
  const orchestrator = readOrchestratorConfig(given);
  checkTlsFiles(orchestrator);
  const gateway = readGatewayConfig({ ...endpointOf(orchestrator, orchestrator.bindAddr.port), ...given });
  readTracingConfig(given, GATEWAY_NAME);
  if ((gateway.R2_ENDPOINT === '') !== (orchestrator.objectStore.endpoint === '')) {
    throw new StartupError('set R2_ENDPOINT for both programs, or for neither', EX_CONFIG);
  }
  if (gateway.WORKERS !== 1) {
    const message = `${GATEWAY_PREFIX}WORKERS is ${gateway.WORKERS}, but npm start has one process for everything; it is for npm run gateway`;
    throw new StartupError(message, EX_CONFIG);
  }
  return { given, gateway, orchestrator };
}

/** Both programs' settings before the embedded parts add theirs. */
export function showStackSettings(environment: Environment): ShownSetting[] {
  const given: Environment = { ...LAPTOP_DEFAULTS, ...environment };
  return [
    ...showSettings(GATEWAY_PREFIX, gatewaySettings, given),
    ...showSettings(ORCHESTRATOR_PREFIX, orchestratorSettings, given),
  ];
}

export interface Stack {
  readonly gatewayUrl: string;
  readonly close: () => Promise<void>;
}

/**
 * Starts both programs in this process. What the environment does not name, a database or an object store, is embedded
 * and kept in `dataDir`. Throws a StartupError; then nothing stays open.
 */
export async function startStack(environment: Environment, dataDir: string): Promise<Stack> {
  const { given, gateway: gatewayConfig, orchestrator: orchestratorConfig } = readStackConfig(environment);
  const { databaseUrl, objectStore } = orchestratorConfig;
  createDataDir(dataDir);
  const log = createLog('foldforge', gatewayConfig.LOG_LEVEL);

  // Closed in reverse, also when a later part cannot start.
  const opened: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const closePart of opened.splice(0).reverse()) {
      await closePart().catch((error: unknown) => log.error({ err: error }, 'a part did not close'));
    }
  };
  const open = async (part: Promise<Part>) => {
    const { added, close: closePart } = await part;
    opened.push(closePart);
    return added;
  };
  try {
    const database = databaseUrl === '' ? await open(addPostgres(dataDir, log)) : {};
    const store = objectStore.endpoint === '' ? await open(addObjectStore(dataDir, objectStore.bucket, log)) : {};
    // An embedded database has one orchestrator: with one name it takes up at once what it was doing when it was killed.
    const name = databaseUrl === '' ? { [`${ORCHESTRATOR_PREFIX}EXECUTOR_ID`]: 'local' } : {};
    const orchestrator = await open(addOrchestrator({ ...name, ...given, ...database, ...store }));
    // One gateway, so that what it makes up is as good as a secret that is shared.
    const tickets = { [`${GATEWAY_PREFIX}STREAM_TICKET_SECRETS`]: randomBytes(24).toString('hex') };
    const made = gatewayConfig.STREAM_TICKET_SECRETS.length === 0 ? tickets : {};
    const config = readGatewayConfig({ ...orchestrator, ...given, ...store, ...made });
    const gatewayLog = createLog(GATEWAY_NAME, config.LOG_LEVEL);
    const gateway = await startGateway(config, {
      log: gatewayLog,
      contract: readContract(new URL('../../openapi.yaml', import.meta.url)),
      pages: openPages(config, gatewayLog),
      tracing: await createTracing(readTracingConfig(given, GATEWAY_NAME), gatewayLog),
    });
    opened.push(gateway.close);
    return { gatewayUrl: urlOf(config.BIND_ADDR, gateway.port, config.TLS_CERT_FILE !== ''), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Something that was started, with the settings that lead to it. */
interface Part {
  readonly added: Environment;
  readonly close: () => Promise<void>;
}

async function addPostgres(dataDir: string, log: Log): Promise<Part> {
  const postgres = await startPostgres({ dataDir: path.join(dataDir, 'postgres'), log });
  const withdraw = publishDatabaseUrl(dataDir, postgres.url);
  return {
    added: { [`${ORCHESTRATOR_PREFIX}DATABASE_URL`]: postgres.url },
    close() {
      withdraw();
      return postgres.close();
    },
  };
}

async function addObjectStore(dataDir: string, bucket: string, log: Log): Promise<Part> {
  const access = { accessKeyId: 'foldforge', secretAccessKey: randomBytes(24).toString('hex') };
  const address = { host: '127.0.0.1', port: 0 };
  const store = await startObjectStore({
    dataDir: path.join(dataDir, 'objects'),
    address,
    buckets: [bucket],
    log,
    ...access,
  });
  const settings = {
    R2_ENDPOINT: store.url,
    R2_BUCKET: bucket,
    R2_ACCESS_KEY_ID: access.accessKeyId,
    R2_SECRET_ACCESS_KEY: access.secretAccessKey,
  };
  // A key in a file would be said twice.
  const files = ['R2_ACCESS_KEY_ID_FILE', 'R2_SECRET_ACCESS_KEY_FILE'].map((name) => [name, undefined] as const);
  const added = [ORCHESTRATOR_PREFIX, GATEWAY_PREFIX].flatMap((prefix) =>
    [...Object.entries(settings), ...files].map(([name, value]) => [prefix + name, value] as const),
  );
  return { added: Object.fromEntries(added), close: () => store.close() };
}

async function addOrchestrator(environment: Environment): Promise<Part> {
  const config = readOrchestratorConfig(environment);
  const log = createLog(ORCHESTRATOR_NAME, config.logLevel);
  const orchestrator = await startOrchestrator(config, {
    log,
    tracing: await createTracing(readTracingConfig(environment, ORCHESTRATOR_NAME), log),
    // Whoever has taken our place runs our steps already.
    onReplaced: () => exitWith('foldforge', new StartupError('another orchestrator has taken the place of this one')),
  });
  return {
    added: endpointOf(config, orchestrator.port),
    close: orchestrator.close,
  };
}

/** What the gateway is told of the orchestrator. */
function endpointOf({ bindAddr, tls }: OrchestratorConfig, port: number): Environment {
  return { [`${GATEWAY_PREFIX}ORCHESTRATOR_ENDPOINT`]: urlOf(bindAddr, port, tls !== undefined) };
}

/** Where a listener can be reached from this machine. */
function urlOf({ host }: Address, port: number, isTls: boolean): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `${isTls ? 'https' : 'http'}://${formatAddress({ host: reachable, port })}`;
}
