import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, SourceMap, type SourceMapping } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Metafile } from 'esbuild';
import { parse } from 'yaml';
import { bundle } from '../../scripts/bundle.ts';
import { PROBES } from '../../scripts/probes.ts';
import { createApiClient } from '../../src/client/api.ts';
import { GATEWAY_PREFIX, gatewaySettings } from '../../src/gateway/config.ts';
import { ORCHESTRATOR_PREFIX, orchestratorSettings } from '../../src/orchestrator/config.ts';
import { EX_UNAVAILABLE } from '../../src/shared/startup-error.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { until, within } from '../support/waiting.ts';

const PROJECT = path.resolve(import.meta.dirname, '../..');
const SPEC = path.join(PROJECT, 'examples/workflows/binder-design.json');
const START_BOUND_MS = 15_000;
const LOOPBACK = { BIND_ADDR: '127.0.0.1:0' };

type Settings = Readonly<Record<string, string>>;

describe('the image, without its container', () => {
  const temporary = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
  const image = readFinalStage();
  const appDir = path.join(temporary, 'image', image.one('WORKDIR'));
  const entryPoint = commandOf(image.one('ENTRYPOINT'));
  const healthCheck = commandOf(image.one('HEALTHCHECK').replace(/^.* CMD /, ''));
  const runningPids = new Set<number>();
  let metafile: Metafile;
  let postgres: TestPostgres;
  let objectStore: TestObjectStore;

  before(async () => {
    const dist = path.join(temporary, 'build', 'dist');
    [metafile, postgres, objectStore] = await Promise.all([bundle(dist), startTestPostgres(), startTestObjectStore()]);
    for (const line of image.all('COPY')) {
      const [, fromBuild, source, target] = /^(--from=build )?(\S+) (\S+)$/.exec(line) ?? [];
      assert.ok(source && target, `one source and one target: COPY ${line}`);
      const name = target.endsWith('/') ? target + path.basename(source) : target;
      cpSync(path.join(fromBuild ? temporary : PROJECT, source), path.join(appDir, name), { recursive: true });
    }
  });

  after(async () => {
    for (const pid of runningPids) process.kill(pid, 'SIGKILL');
    await objectStore?.close();
    await postgres?.close();
    rmSync(temporary, { recursive: true, force: true });
  });

  /** A command of the Dockerfile, with the paths that it has here. */
  function commandOf(json: string): string[] {
    return (JSON.parse(json) as string[]).map((part) => part.replace(/^\/app\//, `${appDir}/`));
  }

  function run([file, ...args]: readonly string[], settings: Settings) {
    const PATH = [path.dirname(process.execPath), process.env.PATH].join(path.delimiter);
    const env = { PATH, ...Object.fromEntries(image.all('ENV').map((pair) => pair.split('='))), ...settings };
    const child = spawn(file!, args, { cwd: appDir, env, stdio: ['ignore', 'pipe', 'pipe'] });
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
    return { child, output, closed: () => within(`the end of ${args}`, closed, START_BOUND_MS) };
  }

  /** Starts a program as the container does, and waits for its line `ready`. */
  async function start(args: readonly string[], settings: Settings) {
    const { child, output, closed } = run([...entryPoint, ...args], settings);
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
    runningPids.add(ready.pid);
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

  /** Starts both programs on free ports, and makes a key. */
  async function startBoth() {
    const listeners = { BIND_ADDR: '127.0.0.1:0', METRICS_ADDR: '127.0.0.1:0', MOCK_STEP_SECONDS: '0' };
    const database = { DATABASE_URL: await postgres.createDatabase() };
    const store = {
      R2_ENDPOINT: objectStore.url,
      R2_BUCKET: objectStore.bucket,
      R2_ACCESS_KEY_ID: objectStore.accessKeyId,
      R2_SECRET_ACCESS_KEY: objectStore.secretAccessKey,
    };
    const orchestratorEnv = prefixed(ORCHESTRATOR_PREFIX, { ...database, ...store, ...listeners });
    const orchestrator = await start(['orchestrator'], orchestratorEnv);
    const gatewayEnv = prefixed(GATEWAY_PREFIX, {
      BIND_ADDR: '127.0.0.1:0',
      ORCHESTRATOR_ENDPOINT: `http://${orchestrator.ready.address}`,
      API_KEYS_ENABLED: 'true',
      SHUTDOWN_DELAY_SECONDS: '0',
      ...store,
    });
    const makeKey = [...entryPoint, 'orchestrator', 'apikey', 'create', 'alice'];
    const [gateway, { code, stdout, stderr }] = await Promise.all([
      start(commandOf(image.one('CMD')), gatewayEnv),
      run(makeKey, prefixed(ORCHESTRATOR_PREFIX, database)).closed(),
    ]);
    assert.deepEqual([code, stderr], [0, '']);
    return { gateway, orchestrator, key: stdout.trim() };
  }

  it('has no packages to fall back on', () => {
    const { resolve } = createRequire(path.join(appDir, 'dist', 'bin', 'gateway.js'));
    assert.throws(() => resolve('pino'), /Cannot find module 'pino'/);
  });

  it('loads nothing for the gateway that only some settings need, nor anything of Express', () => {
    const { outputs } = metafile;
    // The entry point loads the gateway itself by import(), because a process that starts workers does not need it.
    const roots = ['src/bin/gateway.ts', 'src/gateway/gateway.ts'];
    const loaded = new Set(
      Object.keys(outputs).filter((file) => roots.some((root) => Object.hasOwn(outputs[file]!.inputs, root))),
    );
    for (const file of loaded) {
      for (const { path: imported, kind, external } of outputs[file]!.imports) {
        if (!external && kind === 'import-statement') loaded.add(imported);
      }
    }
    const packages = packagesOf(loaded, metafile);
    assert.ok(packages.has('express-openapi-validator') && packages.has('prom-client'));
    const ofNobody = ['express', 'multer', '@apidevtools'];
    const absent = ['@aws-sdk', '@smithy', 'stripe', 'yaml', 'pg', '@dbos-inc', ...ofNobody];
    const among = (names: ReadonlySet<string>) => absent.filter((name) => names.has(name));
    assert.deepEqual(among(packages), []);
    const everything = packagesOf(Object.keys(outputs), metafile);
    assert.deepEqual(
      among(everything),
      absent.filter((name) => !ofNobody.includes(name)),
    );
  });

  it('has source maps of our own lines, and of no others', () => {
    const [file] = Object.entries(metafile.outputs).find(([, { inputs }]) => 'src/gateway/gateway.ts' in inputs)!;
    const output = path.resolve(PROJECT, file);
    const map = new SourceMap(JSON.parse(readFileSync(`${output}.map`, 'utf8')));
    const lines = readFileSync(output, 'utf8').split('\n');
    const originOf = (start: string) => {
      const line = lines.findIndex((text) => text.trimStart().startsWith(start));
      const { originalSource, originalLine } = map.findEntry(line, lines[line]!.indexOf(start)) as SourceMapping;
      return { source: path.relative(PROJECT, path.resolve(path.dirname(output), originalSource)), originalLine };
    };
    const ours = originOf('async function startGateway(');
    assert.equal(ours.source, 'src/gateway/gateway.ts');
    const source = readFileSync(path.join(PROJECT, ours.source), 'utf8').split('\n');
    assert.match(source[ours.originalLine]!, /^export async function startGateway\(/);
    const theirs = originOf('exports.RequestValidator = ');
    assert.match(theirs.source, /node_modules\/express-openapi-validator\/.*\/openapi\.request\.validator\.js$/);
    assert.equal(theirs.originalLine, 0);
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

  it('refuses to start with another openapi.yaml than the one that was compiled', async () => {
    const file = path.join(appDir, 'openapi.yaml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, `${text}\n`);
    try {
      const { code, stderr } = await run([...entryPoint, 'gateway'], prefixed(GATEWAY_PREFIX, LOOPBACK)).closed();
      assert.equal(stderr, 'foldforge-gateway: openapi.yaml is not the one that this program was built with\n');
      assert.equal(code, EX_UNAVAILABLE);
    } finally {
      writeFileSync(file, text);
    }
  });

  it('runs a workflow, is healthy, and stops when told', async (t) => {
    const { gateway, orchestrator, key } = await startBoth();
    const api = createApiClient({ url: `http://${gateway.ready.address}`, token: key });

    const { id } = await api.submitWorkflow(JSON.parse(readFileSync(SPEC, 'utf8')));
    await until('the end of the workflow', async () => !/QUEUED|RUNNING/.test((await api.getWorkflow(id)).state));
    const { state, step_statuses } = await api.getWorkflow(id);
    assert.equal(state, 'SUCCEEDED');
    // Fails unless what comes has the recorded SHA-256.
    await api.downloadArtifact(id, step_statuses[0]!.outputs[0]!, path.join(temporary, 'artifact'));

    await t.test('tells the contract that it was built with', async () => {
      const yaml = readFileSync(path.join(PROJECT, 'openapi.yaml'), 'utf8');
      const get = (name: string) => fetch(`http://${gateway.ready.address}/${name}`);
      assert.equal(await (await get('openapi.yaml')).text(), yaml);
      assert.deepEqual(await (await get('openapi.json')).json(), parse(yaml));
    });

    await t.test('the health check', { skip: process.platform !== 'linux' && 'it reads /proc' }, async () => {
      const check = async (pid: number, probe: keyof typeof PROBES, address: string) => {
        const command = [...healthCheck.slice(0, -1), String(pid)];
        const { code, stderr } = await run(command, { [PROBES[probe].variable]: address }).closed();
        return [code, stderr];
      };
      const { address } = gateway.ready;
      const { metrics } = orchestrator.ready;
      assert.deepEqual(await check(gateway.pid, 'gateway', address), [0, '']);
      assert.deepEqual(await check(orchestrator.pid, 'orchestrator', metrics), [0, '']);
      const wrong = [1, `http://${metrics}/v1/healthz answers 404\n`];
      assert.deepEqual(await check(gateway.pid, 'gateway', metrics), wrong);
      const [code, stderr] = await check(process.pid, 'gateway', address);
      assert.deepEqual([code, stderr], [1, `process ${process.pid} is none of: gateway, orchestrator\n`]);
    });

    const stopped = { code: 0, signal: null, stderr: '' };
    assert.deepEqual(await gateway.stop(), stopped);
    assert.deepEqual(await orchestrator.stop(), stopped);
  });
});

/** The packages, or their scopes, whose code went into `files`. */
function packagesOf(files: Iterable<string>, { outputs }: Metafile): ReadonlySet<string> {
  const inputs = [...files].flatMap((file) => Object.entries(outputs[file]!.inputs));
  return new Set(
    inputs.flatMap(([input, { bytesInOutput }]) =>
      bytesInOutput > 0 ? [...input.matchAll(/node_modules\/([^/]+)/g)].slice(-1).map(([, name]) => name!) : [],
    ),
  );
}

/** The instructions of the Dockerfile's last stage. */
function readFinalStage() {
  const text = readFileSync(path.join(PROJECT, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ');
  const lines = text
    .split(/^FROM /m)
    .at(-1)!
    .split('\n');
  const all = (instruction: string) =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1));
  const one = (instruction: string) => {
    const values = all(instruction);
    assert.equal(values.length, 1, `the last stage of the Dockerfile has one ${instruction}`);
    return values[0]!;
  };
  return { all, one };
}

function prefixed(prefix: string, settings: Settings): Settings {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [prefix + name, value]));
}
