import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { findDebianProgram } from './debian.ts';
import { findStablePorts } from './stable-ports.ts';
import { until, within } from './waiting.ts';

/** The two programs of Debian's package, or why they are missing. */
export async function findPrometheus() {
  const promtool = await findDebianProgram('promtool', 'prometheus');
  if ('missing' in promtool) return promtool;
  return { promtool: promtool.file, server: path.join(path.dirname(promtool.file), 'prometheus') };
}

/** Runs promtool, and answers with its exit code and all that it printed. */
export function runPromtool(file: string, args: readonly string[], input = '') {
  return new Promise<{ readonly code: number; readonly output: string }>((resolve) => {
    const child = execFile(file, args, { timeout: 60_000, maxBuffer: 2 ** 24 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, output: stdout + stderr });
    });
    child.stdin!.on('error', () => undefined).end(input);
  });
}

interface QueryAnswer {
  readonly status: string;
  readonly error?: string;
  readonly data?: {
    readonly result: readonly { readonly metric: Readonly<Record<string, string>>; readonly value: [number, string] }[];
  };
}

/** A real Prometheus in a temporary folder. `targets` are host:port, by the name of their job. */
export async function startPrometheus(
  file: string,
  targets: Readonly<Record<string, readonly string[]>>,
  ruleFiles: readonly string[],
) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
  const configFile = path.join(folder, 'prometheus.yaml');
  const jobs = Object.entries(targets).map(([job, list]) => ({ job_name: job, static_configs: [{ targets: list }] }));
  const often = { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '1s' };
  // JSON is YAML, too.
  await writeFile(configFile, JSON.stringify({ global: often, rule_files: ruleFiles, scrape_configs: jobs }));
  const [port] = await findStablePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const args = [`--config.file=${configFile}`, `--storage.tsdb.path=${path.join(folder, 'data')}`];
  const child = spawn(file, [...args, `--web.listen-address=127.0.0.1:${port}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const killWithTest = () => child.kill('SIGKILL');
  process.once('exit', killWithTest);
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const closed = once(child, 'close');

  async function get(target: string): Promise<Response> {
    if (child.exitCode !== null) throw new Error(`prometheus exited with ${child.exitCode}: ${stderr}`);
    return fetch(url + target);
  }
  const isReady = () =>
    get('/-/ready').then(
      ({ ok }) => ok,
      (error: unknown) => {
        if (child.exitCode !== null) throw error;
        return false;
      },
    );
  await until('Prometheus is ready', isReady, 20_000);

  return {
    /** The series that an expression has now; throws what Prometheus has against it. */
    async query(expression: string) {
      const response = await get(`/api/v1/query?${new URLSearchParams({ query: expression })}`);
      const { status, error, data } = (await response.json()) as QueryAnswer;
      if (status !== 'success') throw new Error(`${expression}: ${error}`);
      return data!.result;
    },
    /** What Prometheus knows under a path of its API. */
    async read(target: string): Promise<unknown> {
      return ((await (await get(target)).json()) as { data: unknown }).data;
    },
    async close(): Promise<void> {
      child.kill('SIGTERM');
      await within('prometheus exits', closed, 10_000).finally(killWithTest);
      process.off('exit', killWithTest);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export type Prometheus = Awaited<ReturnType<typeof startPrometheus>>;
