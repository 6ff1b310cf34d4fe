import type { TestObjectStore } from '../support/object-store.ts';
import { type Program, startProgram } from '../support/process.ts';
import { connect, type OrchestratorClient, type Rpc } from './harness.ts';

export type Settings = Readonly<Record<string, string>>;

/** Starts the program itself, with settings named without their prefix; `close` ends whatever still runs. */
export function createPrograms() {
  const programs = new Set<Program>();
  const connections = new Set<Rpc>();

  function run(settings: Settings, args: readonly string[] = []): Program {
    const env = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`FOLDFORGE_ORCH__${name}`, value]));
    const program = startProgram('orchestrator', { args, env });
    programs.add(program);
    return program;
  }

  /** What a program that ends by itself has printed. */
  async function finish(settings: Settings, args: readonly string[] = []) {
    const program = run(settings, args);
    const code = await program.exits();
    return { code, stdout: program.stdout(), stderr: program.stderr() };
  }

  /** Waits until the program is ready to be called. */
  async function start(settings: Settings): Promise<Program & { readonly client: OrchestratorClient }> {
    const program = run(settings);
    const [, port] = await program.prints(/"address":"127\.0\.0\.1:(\d+)".*"msg":"ready"/);
    const rpc = connect(Number(port));
    connections.add(rpc);
    return { ...program, client: rpc.client };
  }

  async function close(): Promise<void> {
    for (const rpc of connections) rpc.close();
    connections.clear();
    const ends = [...programs].map(async (program) => {
      program.kill('SIGKILL');
      await program.exits();
    });
    await Promise.all(ends);
  }

  return { finish, start, close };
}

/** Free ports on the loopback address, and the mock runner in front of a store of its own. */
export function settingsFor(databaseUrl: string, objectStore: TestObjectStore) {
  return {
    DATABASE_URL: databaseUrl,
    BIND_ADDR: '127.0.0.1:0',
    METRICS_ADDR: '127.0.0.1:0',
    EXECUTOR_ID: 'local',
    MOCK_STEP_SECONDS: '0.3',
    R2_ENDPOINT: objectStore.url,
    R2_BUCKET: objectStore.bucket,
    R2_ACCESS_KEY_ID: objectStore.accessKeyId,
    R2_SECRET_ACCESS_KEY: objectStore.secretAccessKey,
  };
}
