import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { type Stack, startStack } from '../../src/bin/stack.ts';
import type { Artifact, Ranking, Workflow } from '../../src/client/contract.ts';
import { findDebianProgram } from '../support/debian.ts';
import { startLossyProxy } from '../support/lossy-proxy.ts';
import { startProgram } from '../support/process.ts';
import { findStablePorts } from '../support/stable-ports.ts';
import { within } from '../support/waiting.ts';

const PROJECT = path.resolve(import.meta.dirname, '../..');
const BINDER = path.join(PROJECT, 'examples/workflows/binder-design.json');
const FLAKY = path.join(PROJECT, 'examples/workflows/flaky.json');
const KEY = 'the-operators-secret-token';
/** Runs until it is cancelled. */
const ENDLESS = {
  name: 'endless',
  steps: [{ id: 'a', tool: 'rfdiffusion', params: { contigs: '50', mock: { seconds: 600 } } }],
};

describe('foldforge, the program', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  const outputs: string[] = [];
  let stack: Stack;

  before(async () => {
    const settings = {
      FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_GATEWAY__API_TOKEN: KEY,
      FOLDFORGE_GATEWAY__CONSOLE_ENABLED: 'false',
      FOLDFORGE_ORCH__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_ORCH__METRICS_ADDR: '127.0.0.1:0',
      FOLDFORGE_ORCH__MOCK_STEP_SECONDS: '0.1',
    };
    stack = await startStack(settings, path.join(folder, 'data'));
  });
  after(async () => {
    await stack?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (args: readonly string[], env: Record<string, string> = {}) =>
    startProgram('foldforge', {
      args,
      cwd: folder,
      env: { FOLDFORGE_URL: stack.gatewayUrl, FOLDFORGE_API_KEY: KEY, ...env },
    });

  /** One run to its end. */
  async function run(args: readonly string[], env?: Record<string, string>) {
    const program = start(args, env);
    const exitCode = await program.exits(60_000);
    outputs.push(program.stdout(), program.stderr());
    return { exitCode, stdout: program.stdout(), stderr: program.stderr() };
  }

  /** What a run that succeeds prints with --json. */
  async function read<T>(...args: string[]): Promise<T> {
    const { exitCode, stdout, stderr } = await run([...args, '--json']);
    assert.deepEqual([exitCode, stderr], [0, '']);
    return JSON.parse(stdout) as T;
  }

  async function through<T>(budgets: readonly number[], use: (url: string) => Promise<T>): Promise<T> {
    const proxy = await startLossyProxy(Number(new URL(stack.gatewayUrl).port), budgets);
    try {
      const result = await use(proxy.url);
      assert.equal(proxy.losses(), budgets.length, 'every connection that was to be lost was lost');
      return result;
    } finally {
      await proxy.close();
    }
  }

  let finished: string;
  let artifact: Artifact;

  it('submits once, although the first answer is lost', async () => {
    const { exitCode, stdout, stderr } = await through([40], (url) =>
      run(['submit', BINDER, '--url', url, '--label', 'from=cli']),
    );
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /^foldforge: .+; trying again in 1 s\n$/);
    assert.match(stdout, /^[0-9a-f-]{36}\n$/);
    const { workflows } = await read<{ workflows: Workflow[] }>('list', '--label', 'from=cli');
    assert.deepEqual(
      workflows.map(({ id }) => id),
      [stdout.trim()],
    );
  });

  it('watches over lost connections: each event once, in order', async () => {
    const { exitCode, stdout, stderr } = await through([9_000, 5_000], (url) =>
      run(['submit', BINDER, '--watch', '--json', '--url', url]),
    );
    assert.equal(exitCode, 0, stderr);
    const lines = stdout.trimEnd().split('\n');
    assert.ok(lines[0]!.length < 5_000, 'what was lost is the stream, not the answer to the submission');
    const events = lines.map((line) => JSON.parse(line) as { event: string; id?: string; data: object });
    const submitted = events.shift()!;
    assert.equal(submitted.event, 'submitted');
    finished = (submitted.data as Workflow).id;
    assert.deepEqual(events.pop(), { event: 'end', data: { state: 'SUCCEEDED' } });
    assert.ok(events.length > 10);
    assert.deepEqual(
      events.map(({ id }) => id),
      events.map((_, index) => String(index + 1)),
    );
  });

  it('watches a workflow that is over', async () => {
    const { exitCode, stdout, stderr } = await run(['watch', finished]);
    assert.deepEqual([exitCode, stderr], [0, '']);
    assert.match(
      stdout,
      /^ {2}backbones \(rfdiffusion\) {2}SUCCEEDED 100%\n(?: {2}.*100%\n){3}Workflow \S+ SUCCEEDED\n$/,
    );
  });

  it('shows a workflow', async () => {
    const workflow = await read<Workflow>('get', finished);
    assert.equal(workflow.state, 'SUCCEEDED');
    artifact = workflow.step_statuses.flatMap((step) => step.outputs).sort((a, b) => b.size_bytes - a.size_bytes)[0]!;
    assert.ok(artifact.size_bytes > 100_000, 'there is a file to break off');
    const { stdout } = await run(['get', finished]);
    assert.match(stdout, /^sequences {2}proteinmpnn {2}SUCCEEDED {2}100% {2}1 {6}8$/m);
  });

  it('downloads a file over a lost connection, and goes on with what an earlier run has left', async () => {
    const sha256Of = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
    const args = ['download', finished, artifact.sha256.slice(0, 12)];
    const one = path.join(folder, 'one');
    const inOneRun = await through([110_000], (url) => run([...args, '--output', one, '--url', url]));
    assert.equal(inOneRun.exitCode, 0, inOneRun.stderr);
    assert.equal(sha256Of(path.join(one, readdirSync(one)[0]!)), artifact.sha256);

    const two = path.join(folder, 'two');
    const broken = await through([110_000], (url) => run([...args, '--output', two, '--timeout', '0', '--url', url]));
    assert.equal(broken.exitCode, 69);
    assert.match(readdirSync(two).join(), /^complex-\d\.json\.[0-9a-f]{12}\.part$/);
    const { files } = await read<{ files: { file: string; status: string }[] }>(...args, '--output', two);
    assert.equal(files[0]!.status, 'resumed');
    assert.equal(sha256Of(files[0]!.file), artifact.sha256);
    assert.deepEqual(readdirSync(two), [path.basename(files[0]!.file)]);
  });

  it('downloads everything to a folder of its own', async () => {
    const { files } = await read<{ files: { file: string; sha256: string }[] }>('download', finished);
    assert.equal(files.length, 13);
    for (const { file, sha256 } of files) {
      assert.equal(path.dirname(file), finished);
      assert.equal(
        createHash('sha256')
          .update(readFileSync(path.join(folder, file)))
          .digest('hex'),
        sha256,
      );
    }
  });

  it('ranks', async () => {
    const { designs } = await read<Ranking>('rank', finished, '--metric', 'iptm', '--filter', 'iptm>=0', '--top', '2');
    assert.deepEqual(
      designs.map(({ rank, source_step }) => [rank, source_step]),
      [
        [1, 'complex'],
        [2, 'complex'],
      ],
    );
    const { stdout } = await run(['rank', finished, '--metric', 'iptm']);
    assert.match(stdout, /^RANK {2}IPTM +DESIGN .*\n1 {5}0\.\d+ +[0-9a-f]{12} {2}artifact {2}complex /);
  });

  it('cancels, and whoever watches hears of it; Ctrl-C ends a watch alone', async () => {
    const file = path.join(folder, 'endless.json');
    writeFileSync(file, JSON.stringify(ENDLESS));
    const [watching, interrupted] = [start(['submit', file, '--watch']), start(['submit', file, '--watch'])];
    const [, id] = await watching.prints(/^Workflow (\S+)\n.*RUNNING 0%/s);
    const commandLine = process.platform === 'linux' ? readFileSync(`/proc/${watching.pid}/cmdline`, 'utf8') : '';
    assert.ok(!commandLine.includes(KEY), 'ps does not show the key');

    const [, other] = await interrupted.prints(/^Workflow (\S+)\n.*RUNNING 0%/s);
    interrupted.kill('SIGINT');
    assert.equal(await interrupted.exits(), 130);
    assert.equal(
      interrupted.stderr(),
      `foldforge: the workflow goes on by itself; foldforge watch ${other} shows it again\n`,
    );
    assert.equal((await read<Workflow>('get', other!)).state, 'RUNNING');

    for (const each of [id!, other!]) assert.equal((await run(['cancel', each])).stdout, `${each}  CANCELLED\n`);
    assert.equal(await watching.exits(), 3);
    assert.match(watching.stdout(), /\nWorkflow \S+ CANCELLED\n$/);
    outputs.push(watching.stdout(), watching.stderr(), interrupted.stdout());
  });

  it('runs a failed workflow again', async () => {
    const failed = await run(['submit', FLAKY, '--watch']);
    assert.equal(failed.exitCode, 1);
    assert.match(failed.stdout, /FAILED \d+% {2}OOM: CUDA out of memory/);
    const [, id] = /^Workflow (\S+)/.exec(failed.stdout)!;
    const retried = await run(['retry', id!, '--watch']);
    assert.equal(retried.exitCode, 0, retried.stderr);
    assert.match(retried.stdout, /SUCCEEDED 100%\nWorkflow \S+ SUCCEEDED\n$/);
    const again = await run(['retry', id!]);
    assert.deepEqual([again.exitCode, again.stdout], [4, '']);
    assert.match(again.stderr, /^foldforge: 400 FAILED_PRECONDITION: .+\n {2}request id: \S+\n$/);
  });

  it('says what is wrong by its exit code, and nothing on standard output', async () => {
    const keyFile = path.join(folder, 'key');
    writeFileSync(keyFile, 'another-secret-token\n');
    const [closedPort] = await findStablePorts(1);
    const withFile = { FOLDFORGE_API_KEY: '', FOLDFORGE_API_KEY_FILE: keyFile };
    for (const [exitCode, sentence, args, env] of [
      [4, /404 NOT_FOUND/, ['get', 'nobody-has-this'], {}],
      [5, /401 UNAUTHENTICATED/, ['list'], withFile],
      [64, /ID is missing/, ['get'], {}],
      [
        69,
        /cannot be reached: connect ECONNREFUSED/,
        ['list', '--url', `http://127.0.0.1:${closedPort}`, '--timeout', '1'],
        {},
      ],
      [78, /set FOLDFORGE_API_KEY/, ['list'], { FOLDFORGE_API_KEY: '' }],
    ] as const) {
      const { stdout, stderr, ...rest } = await run([...args, '--json'], env);
      assert.deepEqual([rest.exitCode, stdout], [exitCode, ''], stderr);
      assert.match(stderr, sentence);
      outputs.push(stderr.replaceAll('another-secret-token', KEY));
    }
    writeFileSync(keyFile, `${KEY}\n`);
    assert.equal((await run(['get', finished], withFile)).exitCode, 0);
  });

  it('is started by its script, which passes on input, output and exit code', async () => {
    const env = { PATH: process.env.PATH, FOLDFORGE_URL: stack.gatewayUrl, FOLDFORGE_API_KEY: KEY };
    const child = spawn(process.execPath, [path.join(PROJECT, 'scripts/foldforge.cjs'), 'submit', '-'], {
      cwd: folder,
      env,
    });
    child.stdin.end('{"name": "no steps"}');
    const [stdout, stderr, exitCode] = await within(
      'the script ends',
      Promise.all([text(child.stdout), text(child.stderr), new Promise((resolve) => child.once('close', resolve))]),
      20_000,
    );
    assert.deepEqual([exitCode, stdout], [4, '']);
    assert.match(stderr, /^foldforge: 400 INVALID_ARGUMENT: .+\n {2}#?\/steps: .+\n/);
  });

  it('ends quietly when nobody reads what it prints', async () => {
    const args = [path.join(PROJECT, 'src/bin/foldforge.ts'), '--help'];
    const child = spawn(process.execPath, args, { env: { PATH: process.env.PATH } });
    child.stdout.destroy();
    const ended = Promise.all([text(child.stderr), new Promise((resolve) => child.once('close', resolve))]);
    assert.deepEqual(await within('the program ends', ended, 20_000), ['', 141]);
  });

  it('draws bars on a terminal, and leaves the cursor as it was', async (t) => {
    const script = await findDebianProgram('script', 'bsdutils');
    if (!('file' in script)) return t.skip(script.missing);
    const command = `stty cols 70 rows 20; exec '${process.execPath}' '${PROJECT}/src/bin/foldforge.ts' watch ${finished}`;
    const env = { PATH: process.env.PATH, TERM: 'xterm', FOLDFORGE_URL: stack.gatewayUrl, FOLDFORGE_API_KEY: KEY };
    const child = spawn(script.file, ['-qec', command, '/dev/null'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [screen, exitCode] = await within(
      'the watch on a terminal ends',
      Promise.all([text(child.stdout), new Promise((resolve) => child.once('close', resolve))]),
      20_000,
    );
    assert.equal(exitCode, 0, screen);
    const bar = '█'.repeat(70 - 23 - 30);
    assert.ok(screen.includes(`sequences (proteinmpnn) ${bar} 100%  \u001b[32mSUCCEEDED\u001b[0m`), screen);
    const [hidden, shown] = [screen.lastIndexOf('\u001b[?25l'), screen.lastIndexOf('\u001b[?25h')];
    assert.ok(hidden >= 0 && shown > hidden, 'the cursor is back');
    return undefined;
  });

  it('has never shown the key', () => {
    assert.ok(outputs.length > 20);
    assert.deepEqual(
      outputs.filter((output) => output.includes(KEY)),
      [],
    );
  });
});
