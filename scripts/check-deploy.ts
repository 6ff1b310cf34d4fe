import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { updateChartSchema } from './chart-schema.ts';
import { findKubernetesSchemas, type Manifest } from './check-deploy/kubernetes-schemas.ts';
import { REFUSALS } from './check-deploy/refusals.ts';
import {
  CHART,
  PLAIN_VALUES,
  parseManifests,
  RENDERINGS,
  renderChart,
  renderPlain,
  writePlain,
} from './check-deploy/render-chart.ts';
import { buildTools } from './check-deploy/tools.ts';

// All that can be checked of deploy/ and the Dockerfile without a cluster or a Docker: npm run check:deploy [-- --write].

const ROOT = path.resolve(import.meta.dirname, '..');
const VALUES: readonly (readonly string[])[] = [
  ...RENDERINGS.map(({ values }) => values),
  ...['everything', 'little'].map((name) => [path.join(import.meta.dirname, `check-deploy/values/${name}.yaml`)]),
];
/** What the operator of Prometheus brings; their schemas are not among those of Kubernetes. */
const NOT_OF_KUBERNETES = /^monitoring\.coreos\.com\//;

const { values: options } = parseArgs({ options: { write: { type: 'boolean', default: false } } });
const { helm, 'compose-config': composeConfig } = buildTools();

if (options.write) {
  updateChartSchema();
  writePlain(helm);
}
await step('the manifests in deploy/kubernetes are what the chart renders', () => {
  for (const { manifests, values } of RENDERINGS) {
    assert.equal(
      readFileSync(manifests, 'utf8'),
      renderPlain(helm, values),
      'npm run check:deploy -- --write brings them up to date',
    );
  }
});
await step('helm lint has nothing to say', () => {
  for (const files of VALUES) {
    const given = files.flatMap((file) => ['--values', file]);
    execFileSync(helm, ['lint', CHART, '--strict', '--quiet', ...given], { stdio: ['ignore', 'pipe', 'pipe'] });
  }
});
await step('Kubernetes takes what the chart renders', checkManifests);
await step('the chart refuses nonsense, and says what it is', () => {
  for (const [setting, said] of REFUSALS) {
    assert.throws(
      () => renderChart(helm, [PLAIN_VALUES], [setting].flat()),
      (error) => said.test((error as Error & { stderr: string }).stderr),
      [setting].flat().join(),
    );
  }
});
await step('compose reads its file, and says how to make the secrets', checkCompose);
await step('the Dockerfile makes an image that runs, with a real npm ci', () => {
  const test = ['--test', path.join(ROOT, 'test/sockets/image.test.ts')];
  const env = { ...process.env, FOLDFORGE_TEST_NPM_CI: '1' };
  execFileSync(process.execPath, test, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] });
});

async function checkManifests(): Promise<void> {
  const schemas = await findKubernetesSchemas();
  if ('missing' in schemas) throw new Error(schemas.missing);
  for (const files of VALUES) {
    const manifests = parseManifests(renderChart(helm, files));
    const ofKubernetes = manifests.filter(({ apiVersion }: Manifest) => !NOT_OF_KUBERNETES.test(apiVersion));
    for (const [version, check] of schemas.checks)
      assert.deepEqual(ofKubernetes.flatMap(check), [], `${files.join()}, ${version}`);
  }
}

function checkCompose(): void {
  const file = path.join(ROOT, 'deploy/compose.yaml');
  const { FOLDFORGE_SECRETS: _ours, ...env } = process.env;
  const read = (secrets: object, ...profiles: string[]) =>
    execFileSync(composeConfig, [file, ...profiles], { env: { ...env, ...secrets }, encoding: 'utf8', stdio: 'pipe' });
  assert.throws(() => read({}), /FOLDFORGE_SECRETS is missing a value: run deploy\/compose\/make-secrets\.sh first/);
  const given = { FOLDFORGE_SECRETS: './compose/secrets' };
  const plain = Object.keys(JSON.parse(read(given)).services);
  assert.equal(plain.includes('grafana'), false);
  const more = Object.keys(JSON.parse(read(given, 'monitoring')).services);
  assert.deepEqual(
    more.filter((name) => !plain.includes(name)),
    ['grafana', 'prometheus'],
  );
}

async function step(what: string, check: () => void | Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: unknown; stderr?: unknown };
    process.stderr.write(`✖ ${what}\n${message}\n${stdout}${stderr}`);
    process.exit(1);
  }
  process.stdout.write(`✔ ${what}\n`);
}
