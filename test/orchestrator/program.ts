import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { TestObjectStore } from '../support/object-store.ts';
import { connect, eventually, type OrchestratorClient, type Rpc, within } from './harness.ts';

const PROGRAM = path.resolve(import.meta.dirname, '../../src/bin/orchestrator.ts');

// A loaded machine takes its time to start several programs at once.
const READY_DEADLINE_MS = 20_000;

export interface Program {
  readonly child: ChildProcess;
  /** Resolves when the process and its output have ended. */
  readonly closed: () => Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

export type Settings = Readonly<Record<string, string>>;

/** Starts the program itself, with settings named without their prefix; `close` ends whatever still runs. */
export function createPrograms() {
  const children = new Set<ChildProcess>();
  const connections = new Set<Rpc>();

  function run(
    settings: Settings,
    args: readonly string[] = [],
  ): Program & { readonly output: () => [string, string] } {
    const env: Record<string, string> = { PATH: process.env.PATH! };
    for (const [name, value] of Object.entries(settings)) env[`FOLDFORGE_ORCH__${name}`] = value;
    const child = spawn(process.execPath, [PROGRAM, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    children.add(child);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const closed = once(child, 'close').then(([code]) => {
      children.delete(child);
      return { code: code as number | null, stdout, stderr };
    });
    return { child, closed: () => within('the exit', closed, 20_000), output: () => [stdout, stderr] };
  }

  /** Waits until the program is ready to be called. */
  async function start(settings: Settings): Promise<Program & { readonly client: OrchestratorClient }> {
    const program = run(settings);
    const readPort = () => {
      const [stdout, stderr] = program.output();
      if (program.child.exitCode !== null) throw new Error(`exited: ${stderr}`);
      return Number(/"address":"127\.0\.0\.1:(\d+)".*"msg":"ready"/.exec(stdout)?.[1]) || undefined;
    };
    const port = await eventually('the ready line', readPort, READY_DEADLINE_MS);
    const rpc = connect(port);
    connections.add(rpc);
    return { ...program, client: rpc.client };
  }

  async function close(): Promise<void> {
    for (const rpc of connections) rpc.close();
    connections.clear();
    const ends = [...children].map(async (child) => {
      const exited = once(child, 'exit');
      if (child.kill('SIGKILL')) await exited;
    });
    await Promise.all(ends);
  }

  return { run, start, close };
}

/** Free ports on the loopback address, and the mock runner in front of a store of its own. */
export function settingsFor(databaseUrl: string, objectStore: TestObjectStore) {
  return {
    DATABASE_URL: databaseUrl,
    BIND_ADDR: '127.0.0.1:0',
    METRICS_ADDR: '127.0.0.1:0',
    MOCK_STEP_SECONDS: '0.3',
    R2_ENDPOINT: objectStore.url,
    R2_BUCKET: objectStore.bucket,
    R2_ACCESS_KEY_ID: objectStore.accessKeyId,
    R2_SECRET_ACCESS_KEY: objectStore.secretAccessKey,
  };
}
