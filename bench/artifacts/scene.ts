import { hashKey, mintKeys } from '../support/api-keys.ts';
import type { BackendAnswer, BackendMessage } from '../support/backend.ts';
import type { Program } from '../support/program.ts';
import type { Stage } from '../support/stage.ts';
import { untilListens } from '../support/until-listens.ts';
import type { DownloadsAnswer, DownloadsMessage, Target } from './downloads.ts';
import type { StoreAnswer, StoreMessage } from './store.ts';

const BOUND_MS = 120_000;
const BUCKET = 'bench-bucket';
const WORKFLOW_ID = '0190a5f0-0000-7000-8000-000000000001';
/** Longer than any run: how long a key and a record are remembered is not what is measured. */
const CACHE_TTL_SECONDS = 3_600;

/** Where nginx is, and a folder that it may write into. */
export interface NginxPlace {
  readonly file: string;
  readonly folder: string;
}

/** A program through which the same files can be downloaded. */
export interface Subject {
  readonly program: Program;
  /** The file of so many bytes. One that is unhashed has a record that the gateway cannot remember. */
  readonly target: (sizeBytes: number, isHashed?: boolean) => Target;
}

export type Scene = Awaited<ReturnType<typeof openScene>>;

/** Starts everything there is for one generation of measurements: files of `sizes` bytes, and who serves and who reads them. */
export async function openScene(stage: Stage, sizes: readonly number[], nginx: NginxPlace | undefined) {
  const backend = stage.start('bench/support/backend.ts', { place: 'rest' });
  const store = stage.start('bench/artifacts/store.ts', { place: 'rest' });
  const load = stage.start('bench/artifacts/downloads.ts', { place: 'rest' });
  const askBackend = (message: BackendMessage) => backend.ask<BackendAnswer>(message, BOUND_MS);
  const [token] = mintKeys(1) as [string];
  const backendPort = await backend.port();
  const storePort = await store.port();
  const hashes = new Map<number, string>();
  for (const sizeBytes of sizes) {
    const { sha256 } = await store.ask<StoreAnswer>({ hash: sizeBytes } satisfies StoreMessage, BOUND_MS);
    hashes.set(sizeBytes, sha256);
  }
  const files = [...hashes].flatMap(([sizeBytes, sha256]) => [
    { uri: `r2://${BUCKET}/${keyOf(sizeBytes, true)}`, sizeBytes, sha256 },
    { uri: `r2://${BUCKET}/${keyOf(sizeBytes, false)}`, sizeBytes, sha256: '' },
  ]);
  await askBackend({ finish: { id: WORKFLOW_ID, files } });
  await askBackend({ know: { keyHashes: [hashKey(token)], isLimited: false } });

  const gateway = startGateway(stage, backendPort, storePort);
  const gatewayPort = await gateway.port();
  const subjects: Record<string, Subject> = {
    gateway: {
      program: gateway,
      target: (sizeBytes, isHashed = true) => ({
        port: gatewayPort,
        path: `/v1/workflows/${WORKFLOW_ID}/artifacts/${keyOf(sizeBytes, isHashed)}`,
        token,
      }),
    },
  };
  const fromStore = (port: number) => (sizeBytes: number) => ({
    port,
    path: `/${BUCKET}/${keyOf(sizeBytes, true)}`,
    token: '',
  });
  if (nginx) {
    const program = stage.start('bench/peers/nginx.ts', {
      place: 'tested',
      args: [nginx.file, nginx.folder, String(storePort)],
    });
    const port = await program.port();
    await untilListens(port);
    subjects.nginx = { program, target: fromStore(port) };
  }
  return {
    subjects,
    /** The store without anybody between it and its reader. */
    direct: fromStore(storePort),
    store,
    load,
    /** In lower-case hex, as it was recorded. */
    hashOf: (sizeBytes: number) => hashes.get(sizeBytes)!,
    ask: (message: DownloadsMessage) => load.ask<DownloadsAnswer>(message, BOUND_MS),
  };
}

function startGateway(stage: Stage, backendPort: number, storePort: number): Program {
  return stage.start('src/bin/gateway.ts', {
    place: 'tested',
    // The first is production's. The others let us ask for its memory without garbage.
    nodeFlags: ['--max-semi-space-size=32', '--expose-gc', '--import=./bench/support/self-report.ts'],
    env: {
      FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_GATEWAY__ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${backendPort}`,
      FOLDFORGE_GATEWAY__API_KEYS_ENABLED: 'true',
      FOLDFORGE_GATEWAY__AUTH_CACHE_TTL_SECONDS: String(CACHE_TTL_SECONDS),
      FOLDFORGE_GATEWAY__R2_ENDPOINT: `http://127.0.0.1:${storePort}`,
      FOLDFORGE_GATEWAY__R2_BUCKET: BUCKET,
      FOLDFORGE_GATEWAY__R2_ACCESS_KEY_ID: 'bench-key',
      FOLDFORGE_GATEWAY__R2_SECRET_ACCESS_KEY: 'bench-secret',
    },
  });
}

/** The store has an object of every size: the key says which. */
function keyOf(sizeBytes: number, isHashed: boolean): string {
  return `${isHashed ? 'hashed' : 'unhashed'}/${sizeBytes}`;
}
