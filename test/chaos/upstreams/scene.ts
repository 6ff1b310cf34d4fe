import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { runApikeyCommand } from '../../../src/orchestrator/accounts/apikey-command.ts';
import { bundlePrograms, fileOfProgram } from '../../support/bundled-programs.ts';
import { startExternalPostgres } from '../../support/external-postgres.ts';
import { findStablePorts } from '../../support/stable-ports.ts';
import { startPart } from './part.ts';
import { listPostgresProcesses, signalAll } from './postgres-processes.ts';
import { type Repeats, watchRepeats } from './repeats.ts';
import { startSickWire } from './sick-wire.ts';

const STORE_PROGRAM = path.join(import.meta.dirname, 'store-program.ts');
const BUCKET = 'chaos';
const ACCESS = { R2_ACCESS_KEY_ID: 'chaos-key', R2_SECRET_ACCESS_KEY: 'chaos-secret' };
const ADMIN_TOKEN = 'dev-token';
const PRINCIPALS = ['ada', 'grace', 'lise', 'rosalind'];
const KEY_LIMIT = 1_000_000;
const WINDOW_SECONDS = 3_600;

export type Scene = Awaited<ReturnType<typeof startScene>>;

export interface SceneOptions {
  /** Principals with a key each. */
  readonly principals?: readonly string[];
  /** Of the gateway, without their prefix: for what a run cannot wait for. */
  readonly gatewaySettings?: Readonly<Record<string, string>>;
  readonly orchestratorSettings?: Readonly<Record<string, string>>;
}

/**
 * A gateway, an orchestrator, a Postgres and an object store, each a process of its own, with a wire that can fall sick
 * before the orchestrator and one before the store. The bundles are of the code as it was at the start.
 */
export async function startScene({
  principals = PRINCIPALS,
  gatewaySettings = {},
  orchestratorSettings = {},
}: SceneOptions = {}) {
  if (process.platform !== 'linux') throw new Error('this run looks into /proc, which only Linux has');
  await bundlePrograms();
  const files = { gateway: fileOfProgram('gateway'), orchestrator: fileOfProgram('orchestrator') };
  const opened: (() => Promise<unknown>)[] = [];
  async function close(): Promise<void> {
    for (const closePart of opened.splice(0).reverse()) await closePart().catch(() => {});
  }

  async function openAll() {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-chaos-'));
    // Also when the run is interrupted.
    const remove = () => rmSync(folder, { recursive: true, force: true });
    process.once('exit', remove);
    opened.push(async () => {
      process.off('exit', remove);
      remove();
    });
    const postgres = await startExternalPostgres();
    opened.push(postgres.close);
    const databaseUrl = await postgres.createDatabase();
    const [storePort, rpcPort, metricsPort, port] = (await findStablePorts(4)) as [number, number, number, number];

    const storeArgs = [folder, String(storePort), BUCKET, ACCESS.R2_ACCESS_KEY_ID, ACCESS.R2_SECRET_ACCESS_KEY];
    const store = await startPart('the object store', { file: STORE_PROGRAM, args: storeArgs });
    opened.push(() => store.end('SIGKILL'));
    const storeWire = await startSickWire(storePort);
    opened.push(storeWire.close);

    const repeats: Repeats = watchRepeats();
    const orchestrator = await startPart('the orchestrator', {
      file: files.orchestrator,
      env: prefixed('FOLDFORGE_ORCH__', {
        DATABASE_URL: databaseUrl,
        BIND_ADDR: `127.0.0.1:${rpcPort}`,
        METRICS_ADDR: `127.0.0.1:${metricsPort}`,
        // With one name for all its lives it takes up at once what it was doing.
        EXECUTOR_ID: 'chaos',
        STEP_RETRIES: '8',
        STEP_RETRY_DELAY_SECONDS: '0.5',
        R2_ENDPOINT: `http://127.0.0.1:${storePort}`,
        R2_BUCKET: BUCKET,
        // What it was asked is counted from its log.
        LOG_LEVEL: 'debug',
        ...ACCESS,
        ...orchestratorSettings,
      }),
      onLine: repeats.read,
    });
    opened.push(() => orchestrator.end('SIGKILL'));
    const rpcWire = await startSickWire(rpcPort, { isHttp2: true });
    opened.push(rpcWire.close);
    const tokens = await createKeys(principals, databaseUrl);

    const gateway = await startPart('the gateway', {
      file: files.gateway,
      env: prefixed('FOLDFORGE_GATEWAY__', {
        BIND_ADDR: `127.0.0.1:${port}`,
        ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${rpcWire.port}`,
        API_KEYS_ENABLED: 'true',
        R2_ENDPOINT: `http://127.0.0.1:${storeWire.port}`,
        R2_BUCKET: BUCKET,
        SHUTDOWN_DELAY_SECONDS: '0.1',
        SHUTDOWN_GRACE_SECONDS: '5',
        LOG_LEVEL: 'info',
        ...ACCESS,
        ...gatewaySettings,
      }),
    });
    opened.push(() => gateway.end('SIGKILL'));

    let stopped: readonly number[] = [];
    return {
      gateway,
      orchestrator,
      store,
      rpcWire,
      storeWire,
      repeats,
      databaseUrl,
      port,
      rpcPort,
      storePort,
      /** The orchestrator's metrics. */
      metricsPort,
      adminToken: ADMIN_TOKEN,
      /** By principal. */
      tokens,
      createKey: async (principal: string) => (await createKeys([principal], databaseUrl))[0]!,
      revokeKeysOf: (principal: string) => revokeKeys(principal, databaseUrl),
      database: {
        /** SIGSTOP for all of its processes. */
        async pause(): Promise<void> {
          stopped = await listPostgresProcesses(databaseUrl);
          signalAll(stopped, 'SIGSTOP');
        },
        resume(): void {
          signalAll(stopped, 'SIGCONT');
          stopped = [];
        },
      },
    };
  }

  try {
    return { ...(await openAll()), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function prefixed(prefix: string, settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [prefix + name, value]));
}

/** By the operator's own command. */
async function createKeys(principals: readonly string[], databaseUrl: string): Promise<string[]> {
  const tokens: string[] = [];
  for (const principal of principals) {
    const words = ['create', principal, String(KEY_LIMIT), String(WINDOW_SECONDS)];
    await runApikeyCommand(words, { databaseUrl, print: (line) => tokens.push(line) });
  }
  return tokens;
}

async function revokeKeys(principal: string, databaseUrl: string): Promise<void> {
  const lines: string[] = [];
  await runApikeyCommand(['list'], { databaseUrl, print: (line) => lines.push(line) });
  for (const line of lines) {
    const [id, name] = line.trim().split(/\s+/);
    if (name === principal) await runApikeyCommand(['revoke', id!], { databaseUrl, print: () => {} });
  }
}
