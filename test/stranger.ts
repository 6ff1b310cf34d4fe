// A stranger's path, timed: clone → npm ci → npm start → console → structure. Nothing of this checkout is used but its commits.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { walkToStructure } from './support/browser-walk.ts';
import { startChromium } from './support/chromium.ts';
import { until } from './support/waiting.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const READY_MS = 60_000;

const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-stranger-'));
const clone = path.join(folder, 'foldforge');
let passedAt = performance.now();

function lap(step: string): void {
  const now = performance.now();
  process.stdout.write(`${((now - passedAt) / 1000).toFixed(1).padStart(6)} s  ${step}\n`);
  passedAt = now;
}

function run(command: string, args: readonly string[], cwd: string): void {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}

try {
  const chromium = await startChromium({ webgl: true });
  if ('missing' in chromium) throw new Error(chromium.missing);
  passedAt = performance.now();
  run('git', ['clone', '--quiet', ROOT, clone], folder);
  lap('git clone');
  run('npm', ['ci', '--loglevel=error'], clone);
  lap('npm ci');
  const env = { ...process.env };
  for (const [name, port] of Object.entries({ GATEWAY__BIND_ADDR: 0, ORCH__BIND_ADDR: 0, ORCH__METRICS_ADDR: 0 })) {
    env[`FOLDFORGE_${name}`] = `127.0.0.1:${port}`;
  }
  const start = spawn('npm', ['start'], { cwd: clone, env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  start.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  try {
    await until('npm start is ready', () => /Ctrl-C stops everything/.test(printed), READY_MS);
    lap('npm start, until it is ready');
    await walkToStructure(chromium.browser, printed);
    lap('console: sign in, submit the example, watch it end, view a structure');
  } finally {
    await chromium.browser.close();
    const ended = once(start, 'close');
    process.kill(-start.pid!, 'SIGTERM');
    await ended;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
