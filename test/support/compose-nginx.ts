import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { findStablePorts } from './stable-ports.ts';
import { until, within } from './waiting.ts';

const CONFIGURATION = new URL('../../deploy/compose/nginx.conf', import.meta.url);
/** Someone who owns nothing. */
const NOBODY = 65_534;

/**
 * nginx as deploy/compose.yaml runs it: the same file and arguments, not as root, with all that it writes in one folder. Only
 * the port and the addresses of the gateways differ.
 */
export async function startComposeNginx(file: string, gatewayPorts: readonly number[]) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  const [port] = await findStablePorts(1);
  writeFileSync(
    path.join(folder, 'nginx.conf'),
    forThisMachine(readFileSync(CONFIGURATION, 'utf8'), port!, gatewayPorts),
  );
  const log = path.join(folder, 'stdout');
  writeFileSync(log, '');
  const isRoot = process.getuid?.() === 0;
  if (isRoot) for (const place of [folder, log]) chownSync(place, NOBODY, NOBODY);
  chmodSync(folder, 0o755);
  const args = ['-p', `${folder}/`, '-c', path.join(folder, 'nginx.conf')];
  const child = spawn(file, args, {
    stdio: ['ignore', openSync(log, 'a'), 'pipe'],
    ...(isRoot && { uid: NOBODY, gid: NOBODY }),
  });
  const killWithTest = () => child.kill('SIGKILL');
  process.once('exit', killWithTest);
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const closed = once(child, 'close').then(([code]) => code as number | null);
  const url = `http://127.0.0.1:${port}`;
  await until('nginx answers', async () => {
    if (child.exitCode !== null) throw new Error(`nginx exited with ${child.exitCode}: ${stderr}`);
    return fetch(`${url}/v1/healthz`).then(
      (response) => response.body?.cancel().then(() => true),
      () => false,
    );
  });

  return {
    url,
    accessLog: () => readFileSync(log, 'utf8'),
    errorLog: () => stderr,
    /** Ends it as compose does. Answers with its exit code. */
    async close(): Promise<number | null> {
      child.kill('SIGQUIT');
      const code = await within('nginx exits', closed, 10_000);
      process.off('exit', killWithTest);
      rmSync(folder, { recursive: true, force: true });
      return code;
    },
  };
}

function forThisMachine(configuration: string, port: number, gatewayPorts: readonly number[]): string {
  const withPort = replaceOnce(configuration, /listen 8080;/g, () => `listen 127.0.0.1:${port};`);
  return replaceOnce(withPort, /server gateway:8080 resolve ([^;]+);/g, (_line, settings) =>
    gatewayPorts.map((gateway) => `server 127.0.0.1:${gateway} ${settings};`).join('\n'),
  );
}

function replaceOnce(text: string, pattern: RegExp, replacement: (...match: string[]) => string): string {
  const { length } = [...text.matchAll(pattern)];
  if (length !== 1) throw new Error(`${pattern} is there ${length} times, not once`);
  return text.replace(pattern, replacement);
}
