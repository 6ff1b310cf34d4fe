import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { type Stack, startStack } from '../../src/bin/stack.ts';
import { GATEWAY_PREFIX } from '../../src/gateway/config.ts';
import { ORCHESTRATOR_PREFIX } from '../../src/orchestrator/config.ts';
import { type BrowserProxy, startBrowserProxy } from '../support/browser-proxy.ts';
import { findPython } from '../support/python.ts';
import { until, within } from '../support/waiting.ts';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));
const TYPESCRIPT = path.join(EXAMPLES, 'client-ts');
const TOKEN = 'token-of-the-examples';
const AUTHORIZATION = { Authorization: `Bearer ${TOKEN}` };

/** In the middle of an event that is sent to whoever watches the example's workflow. */
const FIRST_SUCCESS = '"step_id":"backbones","state":"SUCCEEDED"';

interface StepJson {
  readonly step_id: string;
  readonly state: string;
  readonly outputs: readonly object[];
}

const python = await findPython(path.join(EXAMPLES, 'client-python/requirements.txt'));

describe('the example clients', { concurrency: 2 }, () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  let stack: Stack;
  before(async () => {
    const settings = {
      [`${GATEWAY_PREFIX}BIND_ADDR`]: '127.0.0.1:0',
      [`${GATEWAY_PREFIX}API_TOKEN`]: TOKEN,
      [`${GATEWAY_PREFIX}CONSOLE_ENABLED`]: 'false',
      [`${ORCHESTRATOR_PREFIX}BIND_ADDR`]: '127.0.0.1:0',
      [`${ORCHESTRATOR_PREFIX}METRICS_ADDR`]: '127.0.0.1:0',
      [`${ORCHESTRATOR_PREFIX}MOCK_STEP_SECONDS`]: '0.3',
    };
    stack = await startStack(settings, path.join(folder, 'data'));
  });
  after(async () => {
    await stack?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function get(target: string): Promise<Response> {
    const response = await fetch(stack.gatewayUrl + target, { headers: AUTHORIZATION });
    assert.equal(response.status, 200, target);
    return response;
  }

  /** Runs an example to its end in a folder of its own; what it does goes through `proxy`. */
  function startExample(name: string, command: readonly string[], proxy: BrowserProxy) {
    const cwd = path.join(folder, name);
    mkdirSync(cwd);
    const [file, ...args] = command;
    const env = { PATH: process.env.PATH, FOLDFORGE_URL: proxy.url, FOLDFORGE_API_KEY: TOKEN };
    const child = spawn(file!, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text) => {
        output[name] += text;
      });
    }
    const closed = once(child, 'close') as Promise<[exitCode: number | null]>;
    return { cwd, output, child, closed };
  }

  async function readSteps(target: string) {
    const workflow = (await (await get(target)).json()) as { readonly step_statuses: readonly StepJson[] };
    return workflow.step_statuses;
  }

  async function hasBegun(target: string, stepId: string): Promise<boolean> {
    return (await readSteps(target)).some(({ step_id, state }) => step_id === stepId && state !== 'QUEUED');
  }

  /** The lines about the steps that a client shows who has had every event once. */
  async function expectedProgress(target: string): Promise<string[]> {
    const { body } = await get(`${target}/events?last_event_id=0`);
    const events = body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    const lines: string[] = [];
    for await (const { event, data } of events) {
      if (event !== 'step_update') continue;
      const { step_id, state, fraction } = JSON.parse(data).step_update;
      lines.push(`  ${step_id}  ${state} ${Math.round(fraction * 100)}%`);
    }
    return lines;
  }

  /** Runs an example whose connections are all lost in the middle of an event, and holds it to what it should show. */
  async function tellsTheWholeStory(name: string, command: readonly string[]): Promise<void> {
    const proxy = await startBrowserProxy(Number(new URL(stack.gatewayUrl).port));
    proxy.withholdFrom(FIRST_SUCCESS);
    const { cwd, output, child, closed } = startExample(name, command, proxy);
    const findId = () => /^Submitted (\S+)\n/.exec(output.stdout)?.[1] ?? assert.fail(output.stdout);
    try {
      await until(`${name} shows progress`, () => / RUNNING /.test(output.stdout) || child.exitCode !== null, 30_000);
      await until('the step after it has begun', () => hasBegun(`/v1/workflows/${findId()}`, 'sequences'), 30_000);
      // Whether it was withheld in time or not: what comes now comes whole.
      proxy.withholdFrom('\0');
      proxy.cut();
      const [exitCode] = await within(`${name} exits`, closed, 60_000);
      assert.equal(exitCode, 0, output.stdout + output.stderr);
    } finally {
      child.kill('SIGKILL');
      await proxy.close();
    }
    assert.match(output.stderr, /^The stream was lost \(.+\); going on after event \d+\n$/);
    const target = `/v1/workflows/${findId()}`;
    const asked = (line: string) => proxy.requests.filter((request) => request.startsWith(line)).length;
    assert.deepEqual([asked('POST /v1/workflows/'), asked(`GET ${target}/events`)], [1, 2]);

    const lines = output.stdout.split('\n');
    const progress = await expectedProgress(target);
    assert.deepEqual(lines.slice(1, progress.length + 1), progress);
    for (const step of ['backbones', 'sequences', 'folds']) assert.ok(progress.includes(`  ${step}  SUCCEEDED 100%`));

    const listed = [...output.stdout.matchAll(/^designs\/(\S+) {2}(\d+) bytes {2}sha256 ([0-9a-f]{64})$/gm)];
    assert.equal(listed.length, (await readSteps(target)).flatMap(({ outputs }) => outputs).length);
    assert.deepEqual(readdirSync(path.join(cwd, 'designs')).sort(), listed.map(([, file]) => file!).sort());
    for (const [, file, size, sha256] of listed) {
      const bytes = readFileSync(path.join(cwd, 'designs', file!));
      assert.deepEqual([String(bytes.length), createHash('sha256').update(bytes).digest('hex')], [size, sha256]);
    }
    assert.match(output.stdout, /^The best 3 of \d+ by plddt:\n(?: {2}[123]\. \d+\.\d {2}\w+ {2}\w+\n){3}$/m);
  }

  it('in TypeScript has types that fit the contract, and tells the whole story', async () => {
    const npm = (script: string) =>
      promisify(execFile)('npm', ['run', '--silent', script], { cwd: TYPESCRIPT, timeout: 60_000 });
    await npm('gen');
    await npm('types');
    const { scripts } = JSON.parse(readFileSync(path.join(TYPESCRIPT, 'package.json'), 'utf8'));
    assert.equal(scripts.start, 'node src/main.ts');
    await tellsTheWholeStory('client-ts', [process.execPath, path.join(TYPESCRIPT, 'src/main.ts')]);
  });

  it('in Python tells the whole story', { skip: 'missing' in python && python.missing }, async () => {
    assert.ok('file' in python);
    await tellsTheWholeStory('client-python', [python.file, '-B', path.join(EXAMPLES, 'client-python/main.py')]);
  });

  it('say what the server refuses', async () => {
    const commands = [[process.execPath, path.join(TYPESCRIPT, 'src/main.ts')]];
    if ('file' in python) commands.push([python.file, '-B', path.join(EXAMPLES, 'client-python/main.py')]);
    for (const [file, ...args] of commands) {
      const env = { PATH: process.env.PATH, FOLDFORGE_URL: stack.gatewayUrl, FOLDFORGE_API_KEY: 'another-token' };
      const failed = promisify(execFile)(file!, args, { cwd: folder, env, timeout: 20_000 });
      await assert.rejects(failed, { code: 1, stderr: /^401 UNAUTHENTICATED: .+ \(request \S+\)\n$/ });
    }
  });
});
