import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { walkToStructure } from '../support/browser-walk.ts';
import { startChromium } from '../support/chromium.ts';
import { until, within } from '../support/waiting.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const SECTION = /^## Submit and watch\n(.*?)^## Configuration/ms.exec(
  readFileSync(path.join(ROOT, 'README.md'), 'utf8'),
)![1]!;
const BLOCKS = [...SECTION.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!);

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  /** Resolves with the exit code when the process and all who write to its output have ended. */
  readonly closed: Promise<number | null>;
}

function run(command: string, args: readonly string[], cwd: string, settings: Record<string, string>): Run {
  const { HOME = cwd, PATH } = process.env;
  const env = { HOME, PATH: `${path.dirname(process.execPath)}:${PATH}`, ...settings };
  // A group of its own, as a terminal gives to each command: a signal reaches npm and what it runs.
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return { child, output: () => output, closed: once(child, 'close').then(([code]) => code) };
}

function signalGroup({ child }: Run, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
  }
}

describe('the README, "Submit and watch" and "The API"', () => {
  // The project as the README's commands see it, so that what they write does not land in the real one.
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  for (const name of ['package.json', 'scripts', 'src', 'node_modules', 'examples']) {
    symlinkSync(path.join(ROOT, name), path.join(folder, name));
  }
  const settings = { FOLDFORGE_DATA_DIR: path.join(folder, 'data') };
  const runs: Run[] = [];
  let url: string;

  before(async () => {
    assert.match(SECTION, /^```bash\nnpm start\n```$/m);
    const start = run('npm', ['start'], folder, {
      ...settings,
      FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_ORCH__BIND_ADDR: '127.0.0.1:0',
      FOLDFORGE_ORCH__METRICS_ADDR: '127.0.0.1:0',
      FOLDFORGE_ORCH__MOCK_STEP_SECONDS: '0.2',
    });
    runs.push(start);
    const ready = /ready at (\S+)/;
    await until(
      'npm start is ready',
      () => {
        if (start.child.exitCode !== null) throw new Error(`npm start has ended: ${start.output()}`);
        return ready.test(start.output());
      },
      40_000,
    );
    url = ready.exec(start.output())![1]!;
  });

  after(async () => {
    for (const each of runs) signalGroup(each, 'SIGTERM');
    try {
      await within('every process ends', Promise.all(runs.map(({ closed }) => closed)), 15_000);
    } finally {
      for (const each of runs) signalGroup(each, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    }
  });

  it('does what it says, command after command', async () => {
    const script = BLOCKS.map((block) => `${block}echo "=== done"\n`)
      .join('')
      .replaceAll('http://127.0.0.1:8080', url)
      .replaceAll('sha256sum', process.platform === 'darwin' ? 'shasum -a 256' : 'sha256sum');
    assert.ok(script.includes(`URL=${url}\n`));
    const shell = run('/bin/sh', ['-euc', script], folder, settings);
    runs.push(shell);
    const exitCode = await within('the commands end', shell.closed, 60_000);
    const outputs = shell.output().split('=== done\n');
    assert.equal(exitCode, 0, shell.output());
    assert.equal(outputs.pop(), '');
    assert.equal(outputs.length, 12);
    const [submitted, watched, resumed, downloaded, ranked, listed, failed, retried, cli, used, ticketed, waited] =
      outputs as [string, string, string, string, string, string, string, string, string, string, string, string];

    assert.match(submitted, /^[0-9a-f-]{36}\n$/);
    assert.match(
      watched,
      /^retry: \d+\n\nevent: workflow_update\ndata: .*event: end\ndata: \{"state":"SUCCEEDED"\}\n\n$/s,
    );
    assert.match(resumed, /^id: 6\nevent: step_update\n(?:id: .*\nevent: .*\n)+event: end\n$/);
    assert.equal(downloaded, 'demo-output/backbone.pdb: OK\n');
    const { designs } = JSON.parse(ranked) as { designs: { rank: number; source_step: string }[] };
    assert.deepEqual(
      designs.map(({ rank, source_step }) => [rank, source_step]),
      [
        [1, 'complex'],
        [2, 'complex'],
      ],
    );
    // npm may have something of its own to say on standard error.
    assert.match(listed, /(?:^|\n)\{"workflows":\[\]\}$/);
    assert.equal(failed, 'event: end\ndata: {"state":"FAILED"}\n\n');
    assert.equal(retried, 'event: end\ndata: {"state":"SUCCEEDED"}\n\n');
    assert.match(cli, /^Workflow \S+\n(?: {2}.+\n)+Workflow \S+ SUCCEEDED\n$/);
    assert.match(used, /^ID +STATE .*\n\S+ +SUCCEEDED +4\/4 .*\n(?:only.*\n)?RANK +IPTM .*\n1 .*\n2 .*\n/);
    const files = used.match(/^demo-output\/complex\/complex-\d\.\w+ {2}\d+ bytes {2}sha256 [0-9a-f]{64}$/gm);
    assert.equal(files?.length, 4);
    assert.equal(ticketed, 'event: workflow_update\nevent: end\n');
    assert.equal(waited, '');
    const finished = JSON.parse(readFileSync(path.join(folder, 'demo-output', 'finished.json'), 'utf8'));
    assert.equal(finished.state, 'SUCCEEDED');
  });

  it('leads a stranger with a browser from the printed token to a structure', async (t) => {
    const chromium = await startChromium({ webgl: true });
    if ('missing' in chromium) return t.skip(chromium.missing);
    try {
      const walkedMs = await walkToStructure(chromium.browser, runs[0]!.output());
      t.diagnostic(`from the console's URL to a structure: ${Math.round(walkedMs)} ms`);
    } finally {
      await chromium.browser.close();
    }
  });
});
