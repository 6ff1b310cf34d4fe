import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { until, within } from './waiting.ts';

interface ProxyServer {
  /** Where everything is passed on to. */
  readonly upstream: string;
  /** Directives of the `server` block; without any, every setting of the proxy is nginx's default. */
  readonly directives?: string;
}

/** A real nginx in a temporary folder, with one server on a port of its own for each of `servers`. */
export async function startNginx<const Servers extends Readonly<Record<string, ProxyServer>>>(
  file: string,
  servers: Servers,
) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
  const ports = await findFreePorts(Object.keys(servers).length);
  const blocks = Object.values(servers).map(
    ({ upstream, directives = '' }, index) =>
      `server { listen 127.0.0.1:${ports[index]}; ${directives} location / { proxy_pass ${upstream}; } }`,
  );
  await writeFile(path.join(folder, 'nginx.conf'), configuration(blocks));
  const child = spawn(file, ['-p', folder, '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const killWithTest = () => child.kill('SIGKILL');
  process.once('exit', killWithTest);
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const closed = once(child, 'close');
  await until('nginx listens', () => {
    if (child.exitCode !== null) throw new Error(`nginx exited with ${child.exitCode}: ${stderr}`);
    return listens(ports.at(-1)!);
  });

  return {
    urls: Object.fromEntries(Object.keys(servers).map((name, index) => [name, `http://127.0.0.1:${ports[index]}`])) as {
      [Name in keyof Servers]: string;
    },
    async close(): Promise<void> {
      child.kill('SIGTERM');
      await within('nginx exits', closed);
      process.off('exit', killWithTest);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** One process, which runs as whoever starts it and is gone with one signal. Every path is below the folder. */
export function configuration(blocks: readonly string[]): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`);
  return `
    daemon off;
    master_process off;
    pid nginx.pid;
    error_log stderr warn;
    events {}
    http {
      access_log off;
      ${temporary.join('\n')}
      ${blocks.join('\n')}
    }`;
}

/** nginx cannot say which port it was given, so they are found before it starts. */
async function findFreePorts(count: number): Promise<number[]> {
  const holders = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(holders.map((holder) => once(holder, 'listening')));
  const ports = holders.map((holder) => (holder.address() as AddressInfo).port);
  await Promise.all(holders.map((holder) => new Promise((resolve) => holder.close(resolve))));
  return ports;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
