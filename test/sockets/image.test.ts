import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { PLAIN, parseManifests } from '../../scripts/check-deploy/render-chart.ts';
import { PROBES } from '../../scripts/probes.ts';
import { createApiClient } from '../../src/client/api.ts';
import { GATEWAY_PREFIX, gatewaySettings } from '../../src/gateway/config.ts';
import { ORCHESTRATOR_PREFIX, orchestratorSettings } from '../../src/orchestrator/config.ts';
import { EX_CONFIG, EX_UNAVAILABLE } from '../../src/shared/startup-error.ts';
import { buildImage, pathWithNode } from '../support/build-image.ts';
import { readDockerfile, setReadOnly } from '../support/dockerfile.ts';
import { lockIn } from '../support/locked-in.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { until, within } from '../support/waiting.ts';

const PROJECT = path.resolve(import.meta.dirname, '../..');
const SPEC = path.join(PROJECT, 'examples/workflows/binder-design.json');
const START_BOUND_MS = 15_000;
/** The image's own user, or whoever runs the test when that is not root: in any case somebody who may do nothing. */
const USER = process.getuid?.() === 0 ? { uid: 1000, gid: 1000 } : undefined;

/** Before each command, where this machine lets us: then not even /tmp can be written to. */
const LOCK = USER && lockIn(USER);

type Settings = Readonly<Record<string, string>>;

/** What the Dockerfile says, done as an ordinary user in clean folders; what comes out is run as the chart runs it. */
describe('the image, without its container', () => {
  const temporary = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  const stages = readDockerfile(readFileSync(path.join(PROJECT, 'Dockerfile'), 'utf8'));
  const image = stages.at(-1)!;
  let appDir: string;
  let postgres: TestPostgres;
  let objectStore: TestObjectStore;
  const runningPids = new Set<number>();

  before(async () => {
    chmodSync(temporary, 0o755);
    const [root] = await Promise.all([
      buildImage({ project: PROJECT, folder: path.join(temporary, 'build'), stages, user: USER }),
      (async () => {
        postgres = await startTestPostgres();
      })(),
      (async () => {
        objectStore = await startTestObjectStore();
      })(),
    ]);
    appDir = path.join(root, image.one('WORKDIR'));
    setReadOnly(appDir, true);
  });

  after(async () => {
    for (const pid of runningPids) process.kill(pid, 'SIGKILL');
    await objectStore?.close();
    await postgres?.close();
    if (appDir) setReadOnly(appDir, false);
    rmSync(temporary, { recursive: true, force: true });
  });

  function run(command: readonly string[], settings: Settings, cwd = appDir) {
    const [file, ...args] = [...(LOCK ?? []), ...command];
    const env = {
      PATH: pathWithNode(),
      // Neither program keeps anything, so there is no folder at all that it may write to.
      HOME: appDir,
      TMPDIR: appDir,
      ...Object.fromEntries(image.all('ENV').map((pair) => pair.split('='))),
      ...settings,
    };
    const child = spawn(file!, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], ...(!LOCK && USER) });
    runningPids.add(child.pid!);
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    const closed = once(child, 'close').then(([code, signal]) => {
      runningPids.delete(child.pid!);
      return { code, signal, ...output };
    });
    return { child, output, closed: () => within(`the end of ${command.join(' ')}`, closed, START_BOUND_MS) };
  }

  /** A command of the Dockerfile, with the paths that it has here. */
  function commandOf(json: string): string[] {
    return (JSON.parse(json) as string[]).map((part) => part.replace(/^\/app\//, `${appDir}/`));
  }
  const entryPoint = () => commandOf(image.one('ENTRYPOINT'));

  /** Starts a program as the container does, and waits for its line `ready`. */
  async function start(args: readonly string[], settings: Settings) {
    const { child, output, closed } = run([...entryPoint(), ...args], settings);
    const readyLine = () => {
      assert.equal(child.exitCode, null, output.stderr);
      return output.stdout.split('\n').find((line) => line.endsWith('"msg":"ready"}'));
    };
    await until(`the line ready of ${args}`, readyLine, START_BOUND_MS);
    const ready = JSON.parse(readyLine()!) as {
      readonly pid: number;
      readonly address: string;
      readonly metrics: string;
    };
    assert.equal(ready.pid, child.pid, 'the entry point hands its process, and so its signals, to the program');
    return {
      pid: ready.pid,
      ready,
      async stop() {
        child.kill('SIGTERM');
        const { code, signal, stderr } = await closed();
        return { code, signal, stderr };
      },
    };
  }

  /** What deploy/kubernetes gives to the Pods of a program, with other addresses and with files of these secrets. */
  function podOf(program: 'gateway' | 'orchestrator', secrets: Settings, changed: Settings) {
    const deployment = parseManifests(readFileSync(PLAIN, 'utf8')).find(
      ({ kind, metadata }) => kind === 'Deployment' && metadata.name === `foldforge-${program}`,
    ) as unknown as { spec: { template: { spec: { containers: [{ args: string[]; env: EnvironmentVariable[] }] } } } };
    const [{ args, env }] = deployment.spec.template.spec.containers;
    const folder = mkdtempSync(path.join(temporary, 'secrets-'));
    for (const [name, value] of Object.entries(secrets)) {
      const file = path.join(folder, name);
      writeFileSync(file, `${value}\n`, { mode: 0o440 });
      // As fsGroup does.
      if (USER) chownSync(file, 0, USER.gid);
    }
    chmodSync(folder, 0o755);
    const prefix = program === 'gateway' ? GATEWAY_PREFIX : ORCHESTRATOR_PREFIX;
    const given = env.map(({ name, value }) => [name, value.replace('/etc/foldforge/secrets', folder)]);
    const others = Object.entries(changed).map(([name, value]) => [prefix + name, value]);
    return { args, env: Object.fromEntries([...given, ...others]) as Settings };
  }

  function storeSettings() {
    return {
      keys: { R2_ACCESS_KEY_ID: objectStore.accessKeyId, R2_SECRET_ACCESS_KEY: objectStore.secretAccessKey },
      place: { R2_ENDPOINT: objectStore.url, R2_BUCKET: objectStore.bucket },
    };
  }

  /** Starts both programs on free ports, and makes a key. */
  async function startBoth() {
    const { keys, place } = storeSettings();
    const databaseUrl = await postgres.createDatabase();
    openToAll(databaseUrl);
    const orchestratorPod = podOf(
      'orchestrator',
      { ...keys, DATABASE_URL: databaseUrl },
      { ...place, BIND_ADDR: '127.0.0.1:0', METRICS_ADDR: '127.0.0.1:0', MOCK_STEP_SECONDS: '0' },
    );
    const orchestrator = await start(orchestratorPod.args, orchestratorPod.env);
    const port = orchestrator.ready.address.split(':').at(-1);
    const gatewayPod = podOf(
      'gateway',
      { ...keys, API_TOKEN: 'a-token', STREAM_TICKET_SECRETS: 'x'.repeat(32) },
      {
        ...place,
        BIND_ADDR: '127.0.0.1:0',
        ORCHESTRATOR_ENDPOINT: `dns:///localhost:${port}`,
        CONSOLE_ENABLED: 'true',
        SHUTDOWN_DELAY_SECONDS: '0.5',
      },
    );
    const makeKey = [...entryPoint(), 'orchestrator', 'apikey', 'create', 'alice'];
    const [gateway, { code, stdout, stderr }] = await Promise.all([
      start(gatewayPod.args, gatewayPod.env),
      run(makeKey, orchestratorPod.env).closed(),
    ]);
    assert.deepEqual([code, stderr], [0, '']);
    return { gateway, orchestrator, key: stdout.trim() };
  }

  it('has the two programs, their pages and the contract, and nothing that installs', () => {
    assert.deepEqual(readdirSync(appDir).sort(), ['LICENSE', 'dist', 'foldforge', 'openapi.yaml']);
    const dist = readdirSync(path.join(appDir, 'dist')).sort();
    assert.deepEqual(dist, ['bin', 'chunks', 'licences.txt', 'package.json', 'pages']);
    const { resolve } = createRequire(path.join(appDir, 'dist', 'bin', 'gateway.js'));
    assert.throws(() => resolve('pino'), /Cannot find module 'pino'/);
    const closed = readdirSync(path.join(appDir, 'dist'), { recursive: true, encoding: 'utf8' }).filter(
      (name) => (statSync(path.join(appDir, 'dist', name)).mode & 0o004) === 0,
    );
    assert.deepEqual(closed, [], 'what root has built can be read by the user of the image');
    assert.equal(image.one('USER'), '1000:1000');
    const removed = image.all('RUN').join(' ');
    for (const program of ['npm', 'npx', 'corepack', 'yarn']) assert.ok(removed.includes(`/usr/local/bin/${program} `));
  });

  it('cannot be written to by its user, nor can anything else', async (t) => {
    const { code } = await run(
      ['/bin/sh', '-c', 'echo x >"$0/dist/x" || echo x >>"$0/foldforge"', appDir],
      {},
    ).closed();
    assert.notEqual(code, 0);
    if (!LOCK) return t.diagnostic('this account may not take the right to write to /tmp, too');
    const elsewhere = await run(['/bin/sh', '-c', 'echo x >/tmp/x || echo x >/dev/shm/../../var/tmp/x'], {}).closed();
    assert.match(elsewhere.stderr, /(Read-only file system.*){2}/s);
    const { stdout } = await run(
      ['/bin/sh', '-c', 'grep -E "^(Cap(Prm|Eff|Bnd)|NoNewPrivs)" /proc/self/status'],
      {},
    ).closed();
    assert.deepEqual(stdout.match(/\w+$/gm), ['0', '0', '0'].map((none) => none.padStart(16, '0')).concat('1'));
  });

  it('opens and checks the ports that the programs have by default', () => {
    const { BIND_ADDR } = gatewaySettings;
    const { BIND_ADDR: rpcAddr, METRICS_ADDR } = orchestratorSettings;
    const ports = [BIND_ADDR, rpcAddr, METRICS_ADDR].map(({ defaultText }) => defaultText.split(':').at(-1));
    assert.equal(image.one('EXPOSE'), ports.join(' '));
    const { gateway, orchestrator } = PROBES;
    assert.deepEqual(
      [gateway.variable, gateway.defaultAddress, orchestrator.variable, orchestrator.defaultAddress],
      [
        `${GATEWAY_PREFIX}BIND_ADDR`,
        BIND_ADDR.defaultText,
        `${ORCHESTRATOR_PREFIX}METRICS_ADDR`,
        METRICS_ADDR.defaultText,
      ],
    );
  });

  it('is the gateway unless told otherwise, and says what it lacks', async () => {
    const [plain, orchestrator] = await Promise.all([
      run([...entryPoint(), ...commandOf(image.one('CMD'))], {}).closed(),
      run([...entryPoint(), 'orchestrator'], {}).closed(),
    ]);
    assert.match(plain.stderr, /^foldforge-gateway: FOLDFORGE_GATEWAY__API_TOKEN is dev-token/);
    assert.match(orchestrator.stderr, /^foldforge-orchestrator: FOLDFORGE_ORCH__DATABASE_URL is not set/);
    assert.deepEqual([plain.code, orchestrator.code], [EX_CONFIG, EX_CONFIG]);
  });

  it('refuses to start with another openapi.yaml than the one that was compiled', async () => {
    const file = path.join(appDir, 'openapi.yaml');
    const text = readFileSync(file, 'utf8');
    setReadOnly(appDir, false);
    writeFileSync(file, `${text}\n`);
    try {
      const loopback = { [`${GATEWAY_PREFIX}BIND_ADDR`]: '127.0.0.1:0' };
      const { code, stderr } = await run([...entryPoint(), 'gateway'], loopback).closed();
      assert.equal(stderr, 'foldforge-gateway: openapi.yaml is not the one that this program was built with\n');
      assert.equal(code, EX_UNAVAILABLE);
    } finally {
      writeFileSync(file, text);
      setReadOnly(appDir, true);
    }
  });

  it('runs both programs as the manifests do: a workflow, the pages, the probes and the end', async (t) => {
    const { gateway, orchestrator, key } = await startBoth();
    const { address } = gateway.ready;
    const { metrics } = orchestrator.ready;
    const api = createApiClient({ url: `http://${address}`, token: key });

    const { id } = await api.submitWorkflow(JSON.parse(readFileSync(SPEC, 'utf8')));
    await until('the end of the workflow', async () => !/QUEUED|RUNNING/.test((await api.getWorkflow(id)).state));
    const { state, step_statuses } = await api.getWorkflow(id);
    assert.equal(state, 'SUCCEEDED');
    // Fails unless what comes has the recorded SHA-256.
    await api.downloadArtifact(id, step_statuses[0]!.outputs[0]!, path.join(temporary, 'artifact'));

    await t.test('tells the contract that it was built with', async () => {
      const yaml = readFileSync(path.join(PROJECT, 'openapi.yaml'), 'utf8');
      const get = (name: string) => fetch(`http://${address}/${name}`);
      assert.equal(await (await get('openapi.yaml')).text(), yaml);
      assert.deepEqual(await (await get('openapi.json')).json(), parse(yaml));
    });

    await t.test('has the pages, with all that they name', async () => {
      for (const page of ['/docs', '/console']) {
        const response = await fetch(`http://${address}${page}`);
        const html = await response.text();
        assert.deepEqual([response.status, response.headers.get('content-type')], [200, 'text/html; charset=utf-8']);
        const files = [...html.matchAll(/(?:src|href)="([^"]+\.(?:js|css|svg))"/g)].map(([, file]) => file!);
        assert.ok(files.length > 0, `${page} names files`);
        for (const file of files)
          assert.equal((await fetch(new URL(file, `http://${address}${page}/`))).status, 200, file);
      }
    });

    await t.test('answers the probes of the manifests', async () => {
      const urls = [`${address}/v1/healthz`, `${address}/v1/readyz`, `${metrics}/livez`, `${metrics}/readyz`];
      for (const url of urls) assert.equal((await fetch(`http://${url}`)).status, 200, url);
    });

    await t.test('the health check', { skip: process.platform !== 'linux' && 'it reads /proc' }, async () => {
      const command = commandOf(image.one('HEALTHCHECK').replace(/^.* CMD /, '')).slice(0, -1);
      const check = async (pid: number, probe: keyof typeof PROBES, at: string) => {
        const { code, stderr } = await run([...command, String(pid)], { [PROBES[probe].variable]: at }).closed();
        return [code, stderr];
      };
      const answers = await Promise.all([
        check(gateway.pid, 'gateway', address),
        check(orchestrator.pid, 'orchestrator', metrics),
        check(gateway.pid, 'gateway', metrics),
        check(process.pid, 'gateway', address),
      ]);
      assert.deepEqual(answers, [
        [0, ''],
        [0, ''],
        [1, `http://${metrics}/v1/healthz answers 404\n`],
        [1, `process ${process.pid} is none of: gateway, orchestrator\n`],
      ]);
    });

    const ended = gateway.stop();
    await until('readyz says that the gateway drains', async () => {
      const { status } = await fetch(`http://${address}/v1/readyz`);
      return status === 503;
    });
    const stopped = { code: 0, signal: null, stderr: '' };
    assert.deepEqual(await ended, stopped);
    assert.deepEqual(await orchestrator.stop(), stopped);
  });
});

interface EnvironmentVariable {
  readonly name: string;
  readonly value: string;
}

/** The socket of a Postgres of ours is for its own account alone, and the image has another one. */
function openToAll(databaseUrl: string): void {
  const folder = new URL(databaseUrl).searchParams.get('host')!;
  chmodSync(folder, 0o755);
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith('.s.') && !entry.endsWith('.lock'))) {
    chmodSync(path.join(folder, name), 0o777);
  }
}
