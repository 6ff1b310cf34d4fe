import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startProgram } from '../support/process.ts';
import { collectSse, idsOf } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

const SPEC = readFileSync(new URL('../../examples/workflows/binder-design.json', import.meta.url), 'utf8');
const FLAKY = readFileSync(new URL('../../examples/workflows/flaky.json', import.meta.url), 'utf8');
const ADMIN = { Authorization: 'Bearer dev-token' };

interface WorkflowJson {
  id: string;
  state: string;
  step_statuses: { step_id: string; state: string; started_at?: string; outputs: { uri: string; sha256: string }[] }[];
}

describe('npm start', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  const dataDir = path.join(folder, 'data');
  let url: string;
  let program: ReturnType<typeof startProgram>;

  async function start(stepSeconds: string): Promise<void> {
    program = startProgram('dev', {
      env: {
        FOLDFORGE_DATA_DIR: dataDir,
        FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0',
        FOLDFORGE_ORCH__BIND_ADDR: '127.0.0.1:0',
        FOLDFORGE_ORCH__METRICS_ADDR: '127.0.0.1:0',
        FOLDFORGE_ORCH__MOCK_STEP_SECONDS: stepSeconds,
      },
    });
    [, url] = (await program.prints(/FoldForge is ready at (\S+)/, 40_000)) as unknown as [string, string];
  }

  async function stop(): Promise<void> {
    program.kill('SIGINT');
    assert.equal(await program.exits(), 0);
    assert.equal(program.stderr(), '');
  }

  const get = (target: string, headers: Record<string, string> = {}) =>
    fetch(url + target, { headers: { ...ADMIN, ...headers } });
  const read = async (id: string) => (await (await get(`/v1/workflows/${id}`)).json()) as WorkflowJson;
  const post = (target: string, body: string, headers: Record<string, string> = {}) =>
    fetch(url + target, {
      method: 'POST',
      body,
      headers: { ...ADMIN, 'Content-Type': 'application/json', ...headers },
    });
  async function submit(spec: string, headers?: Record<string, string>): Promise<string> {
    const response = await post('/v1/workflows', spec, headers);
    assert.equal(response.status, 201, await response.clone().text());
    return ((await response.json()) as WorkflowJson).id;
  }
  const watch = async (id: string, cursor: string) =>
    within('the stream ends', collectSse(await get(`/v1/workflows/${id}/events`, { 'Last-Event-ID': cursor })), 60_000);
  const countUp = (length: number) => Array.from({ length }, (_, index) => String(index + 1));

  before(() => start('0.3'));
  after(() => {
    program.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  let finished: string;

  it('says where it is, with three commands that work', async () => {
    const commands = program.stdout().match(/^ {2}curl .*$/gm);
    assert.equal(commands?.length, 3);
    const run = (command: string) => execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8', timeout: 30_000 });
    finished = (JSON.parse(run(commands[0]!)) as WorkflowJson).id;
    assert.match(run(commands[1]!.replace('/ID/', `/${finished}/`)), /event: end\ndata: \{"state":"SUCCEEDED"\}\n\n$/);
    assert.equal((JSON.parse(run(commands[2]!.replace('/ID', `/${finished}`))) as WorkflowJson).state, 'SUCCEEDED');
  });

  it('replays every event from 1 without gap or repeat, and exactly the rest from any point', async () => {
    const all = idsOf(await watch(finished, '0'));
    assert.deepEqual(all, countUp(all.length));
    for (const cursor of [1, Math.floor(all.length / 2), all.length - 1]) {
      assert.deepEqual(idsOf(await watch(finished, String(cursor))), all.slice(cursor));
    }
    assert.equal((await get(`/v1/workflows/${finished}/events`, { 'Last-Event-ID': String(all.length) })).status, 204);
  });

  async function checkArtifacts(id: string): Promise<number> {
    const outputs = (await read(id)).step_statuses.flatMap((status) => status.outputs);
    for (const { uri, sha256 } of outputs) {
      const response = await get(`/v1/workflows/${id}/artifacts/${uri.replace(/^r2:\/\/[^/]+\//, '')}`);
      assert.equal(response.status, 200);
      const bytes = new Uint8Array(await response.arrayBuffer());
      assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256, uri);
    }
    return outputs.length;
  }

  it('serves every artifact with the right sha256', async () => {
    assert.ok((await checkArtifacts(finished)) > 5);
  });

  it('runs a failed workflow again, from the step that failed', async () => {
    const id = await submit(FLAKY);
    assert.equal((await watch(id, '0')).at(-1)?.data, '{"state":"FAILED"}');
    const before = await read(id);
    assert.equal((await post(`/v1/workflows/${id}/retry`, '')).status, 200);
    await until('it succeeds', async () => (await read(id)).state === 'SUCCEEDED', 30_000);
    const after = await read(id);
    assert.deepEqual(after.step_statuses[0], before.step_statuses[0], 'the step that had succeeded did not run again');
    const ids = idsOf(await watch(id, '0'));
    assert.deepEqual(ids, countUp(ids.length));
  });

  it('knows keys that the command line makes while it runs', async () => {
    const apikey = async (...args: string[]) => {
      const command = startProgram('orchestrator', {
        args: ['apikey', ...args],
        env: { FOLDFORGE_DATA_DIR: dataDir },
      });
      assert.equal(await command.exits(), 0, command.stderr());
      return command.stdout().trim();
    };
    const alice = await apikey('create', 'alice', '1', '3600');
    assert.match(alice, /^ffk_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
    const headers = { Authorization: `Bearer ${alice}` };
    const id = await submit(FLAKY, headers);
    const refused = await post('/v1/workflows', FLAKY, headers);
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get('retry-after')) > 60, "Retry-After is the window's end");
    assert.equal((await get(`/v1/workflows/${finished}`, headers)).status, 404, "somebody else's");
    assert.equal((await get(`/v1/workflows/${id}`, headers)).status, 200);
    assert.doesNotMatch(await apikey('list'), /ffk_/, 'a key is printed once');
  });

  it('cancels what is running', async () => {
    const id = await submit(SPEC.replace('"num_designs": 4', '"num_designs": 4, "mock": { "seconds": 60 }'));
    await until('it runs', async () => (await read(id)).state === 'RUNNING');
    assert.equal((await fetch(`${url}/v1/workflows/${id}`, { method: 'DELETE', headers: ADMIN })).status, 200);
    const events = await watch(id, '0');
    assert.equal(events.at(-1)?.data, '{"state":"CANCELLED"}');
  });

  it('has everything still there after Ctrl-C and a new start', async () => {
    await stop();
    assert.ok(!existsSync(path.join(dataDir, 'database-url')));
    await start('1');
    assert.equal((await read(finished)).state, 'SUCCEEDED');
    assert.ok((await checkArtifacts(finished)) > 5);
  });

  it('finishes after kill -9 in the middle, with no gap and no repeat, and runs no finished step again', async () => {
    const id = await submit(SPEC);
    const stateOf = (workflow: WorkflowJson, step: string) =>
      workflow.step_statuses.find(({ step_id }) => step_id === step)!;
    await until(
      'the first step is done',
      async () => stateOf(await read(id), 'backbones').state === 'SUCCEEDED',
      30_000,
    );
    await until('the second runs', async () => stateOf(await read(id), 'sequences').state === 'RUNNING', 30_000);
    const done = stateOf(await read(id), 'backbones');
    program.kill('SIGKILL');
    assert.equal(await program.exits(), null);
    await until('no Postgres is left behind', () => !hasPostgres(dataDir), 15_000);
    await start('0.3');
    assert.equal((await watch(id, '0')).at(-1)?.data, '{"state":"SUCCEEDED"}');
    const ids = idsOf(await watch(id, '0'));
    assert.deepEqual(ids, countUp(ids.length));
    assert.deepEqual(stateOf(await read(id), 'backbones'), done, 'the finished step did not run again');
    await stop();
    assert.ok(!hasPostgres(dataDir));
  });
});

/** Whether a process runs that has the data directory on its command line. */
function hasPostgres(dataDir: string): boolean {
  const processes = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
  return processes.split('\n').some((line) => line.includes(dataDir) && line.includes('postgres'));
}
