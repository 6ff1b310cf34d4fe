import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { createPrograms, settingsFor } from '../orchestrator/program.ts';
import { type AlertTest, PROMETHEUS_FOLDER, readAlertTests, readRuleGroups } from '../support/alert-rules.ts';
import { listExpressions, readDashboard, withoutVariables } from '../support/dashboard.ts';
import { createRegistries } from '../support/known-metrics.ts';
import { type ManyWorkers, startManyWorkers } from '../support/many-workers.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { findPrometheus, type Prometheus, runPromtool, startPrometheus } from '../support/prometheus.ts';
import { readExpression } from '../support/promql.ts';
import { collectSse } from '../support/sse-client.ts';
import { until } from '../support/waiting.ts';

const found = await findPrometheus();
const skip = 'missing' in found ? found.missing : false;
const { promtool, server } = 'missing' in found ? { promtool: '', server: '' } : found;
const fileOf = (name: string) => fileURLToPath(new URL(name, PROMETHEUS_FOLDER));
const ADMIN = { Authorization: 'Bearer dev-token' };
const SPEC = {
  name: 'measured',
  steps: [
    { id: 'backbones', tool: 'rfdiffusion', params: { contigs: '70-90', num_designs: 2 } },
    { id: 'sequences', tool: 'proteinmpnn', depends_on: ['backbones'], params: { num_sequences: 2 } },
  ],
};

/** It keeps the queue busy until the end. */
const LONG_SPEC = {
  name: 'long',
  steps: Array.from({ length: 100 }, (_, index) => ({
    id: `s${index}`,
    tool: 'proteinmpnn',
    params: { num_sequences: 1 },
  })),
};

describe('deploy/prometheus', { skip }, () => {
  it('has rules and a configuration that promtool takes', async () => {
    for (const [kind, ...names] of [
      ['rules', 'rules.yaml', 'alerts.yaml'],
      ['config', 'prometheus.yaml'],
    ] as const) {
      const { code, output } = await runPromtool(promtool, ['check', kind, ...names.map(fileOf)]);
      assert.equal(code, 0, output);
    }
  });

  it('has alerts that fire when they should, and do not when they should not', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-test-'));
    try {
      const { tests, ...settings } = readAlertTests();
      const records = readRuleGroups('rules.yaml');
      // promtool evaluates every rule each minute of each test: with those alone that matter it takes a quarter of the time.
      const files = await Promise.all(
        readRuleGroups('alerts.yaml').map(async (group) => {
          const names = new Set(group.rules.map(({ alert }) => alert));
          const asked = new Set(
            group.rules.flatMap(({ expr }) => readExpression(expr).selectors.map(({ name }) => name)),
          );
          const groups = [
            ...records.map((each) => ({ ...each, rules: each.rules.filter(({ record }) => asked.has(record!)) })),
            group,
          ];
          const isOfGroup = (test: AlertTest) => test.alert_rule_test.some(({ alertname }) => names.has(alertname));
          await writeFile(path.join(folder, `${group.name}.rules.yaml`), stringify({ groups }));
          const own = { ...settings, rule_files: [`${group.name}.rules.yaml`], tests: tests.filter(isOfGroup) };
          const file = path.join(folder, `${group.name}.test.yaml`);
          await writeFile(file, stringify(own));
          return file;
        }),
      );
      const { code, output } = await runPromtool(promtool, ['test', 'rules', ...files]);
      assert.equal(code, 0, output);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('a real Prometheus', { skip }, () => {
  const programs = createPrograms();
  let postgres: TestPostgres;
  let store: TestObjectStore;
  let gateway: ManyWorkers;
  let prometheus: Prometheus;
  let metricsUrl: string;

  before(async () => {
    [postgres, store] = await Promise.all([startTestPostgres(), startTestObjectStore()]);
    const settings = settingsFor(await postgres.createMigratedDatabase(), store);
    const orchestrator = await programs.start({ ...settings, MOCK_STEP_SECONDS: '0.3', CONCURRENCY: '2' });
    const [, address, metrics] = await orchestrator.prints(/"address":"([^"]+)","metrics":"([^"]+)"/);
    metricsUrl = `http://${metrics}/metrics`;
    gateway = await startManyWorkers({
      ORCHESTRATOR_ENDPOINT: `http://${address}`,
      R2_ENDPOINT: store.url,
      R2_BUCKET: store.bucket,
      R2_ACCESS_KEY_ID: store.accessKeyId,
      R2_SECRET_ACCESS_KEY: store.secretAccessKey,
    });
    const targets = { 'foldforge-gateway': [new URL(gateway.url).host], 'foldforge-orchestrator': [metrics!] };
    prometheus = await startPrometheus(server, targets, [fileOf('rules.yaml'), fileOf('alerts.yaml')]);
    const ups = () => prometheus.query('up == 1');
    await until('both are scraped', async () => (await ups()).length === 2, 20_000);
    await work();
    // Rates need two scrapes, so of what was done last as well; of the queues, an orchestrator may tell what it read 2 s ago.
    const seen = `count_over_time(foldforge_gateway_http_requests_total{status="400"}[1m]) > 2
      and on () max(foldforge_queue_entries) > 0`;
    await until('it has seen what was done', async () => (await prometheus.query(seen)).length === 1, 20_000);
  });
  after(async () => {
    await prometheus?.close();
    await gateway?.kill();
    await programs.close();
    await store?.close();
    await postgres?.close();
  });

  /** One workflow from its submission to the download of what it made, and a few mistakes. */
  async function work(): Promise<void> {
    const call = (target: string, init: RequestInit = {}) =>
      fetch(gateway.url + target, { ...init, headers: { ...ADMIN, 'Content-Type': 'application/json' } });
    const { id } = (await (await call('/v1/workflows', { method: 'POST', body: JSON.stringify(SPEC) })).json()) as {
      id: string;
    };
    await collectSse(await call(`/v1/workflows/${id}/events`));
    const workflow = (await (await call(`/v1/workflows/${id}`)).json()) as {
      state: string;
      step_statuses: { outputs: { uri: string }[] }[];
    };
    assert.equal(workflow.state, 'SUCCEEDED');
    const [file] = workflow.step_statuses.flatMap(({ outputs }) => outputs);
    const key = new URL(file!.uri).pathname.slice(1);
    for (let index = 0; index < 4; index++) {
      const download = await call(`/v1/workflows/${id}/artifacts/${key}`);
      assert.equal(download.status, 200);
      await download.arrayBuffer();
      assert.equal((await call('/v1/workflows/none')).status, 404);
      assert.equal((await call('/v1/readyz')).status, 200);
    }
    assert.equal((await call('/v1/workflows', { method: 'POST', body: JSON.stringify(LONG_SPEC) })).status, 201);
    assert.equal((await call('/v1/workflows', { method: 'POST', body: '{' })).status, 400);
  }

  for (const program of ['gateway', 'orchestrator'] as const) {
    it(`finds nothing to say against the metrics of the ${program}, and each of ours is there`, async () => {
      const text = await (await fetch(program === 'gateway' ? `${gateway.url}/metrics` : metricsUrl)).text();
      const { code, output } = await runPromtool(promtool, ['check', 'metrics'], text);
      assert.deepEqual([code, output], [0, '']);
      const families = new Set(
        [...text.matchAll(/^(foldforge_\w+?)(?:_bucket|_sum|_count)?(?:\{.*\})? \S+$/gm)].map(([, name]) => name),
      );
      const ours = createRegistries()[program].getMetricsAsArray() as unknown as { name: string }[];
      const silent = ours
        .map(({ name }) => name)
        .filter((name) => name.startsWith('foldforge_') && !families.has(name));
      // There are no sidecars, only one orchestrator, and no TLS.
      assert.deepEqual(
        silent,
        program === 'gateway'
          ? ['foldforge_gateway_upstream_retries_total', 'foldforge_gateway_tls_certificate_expiry_timestamp_seconds']
          : ['foldforge_sidecar_info', 'foldforge_orchestrator_tls_certificate_expiry_timestamp_seconds'],
      );
    });
  }

  it('has of two workers what they have together', async () => {
    const value = async (query: string) => Number((await prometheus.query(query))[0]?.value[1]);
    assert.equal(await value('foldforge_gateway_held_requests_limit'), 40_000);
    assert.equal(await value('sum(foldforge_build_info{program="gateway"})'), 1);
    assert.equal(
      (await value('foldforge_gateway_artifact_record_lookups_total{result="hit"}')) +
        (await value('foldforge_gateway_artifact_record_lookups_total{result="miss"}')),
      4,
    );
    // Each process makes ten samples a second at most.
    assert.ok((await value('irate(foldforge_event_loop_lag_seconds_count{job="foldforge-gateway"}[30s])')) > 11);
  });

  it('knows of the files that went into the store and out of it', async () => {
    for (const query of [
      'foldforge_artifact_written_bytes_total',
      'foldforge_artifact_write_duration_seconds_count{outcome="ok"}',
      'foldforge_gateway_object_store_received_bytes_total',
      'foldforge_gateway_object_store_request_duration_seconds_count{outcome="ok"}',
      'foldforge_gateway_events_sent_total',
    ]) {
      assert.equal((await prometheus.query(`${query} > 0`)).length, 1, query);
    }
  });

  it('takes every expression of the dashboard, and has something to show for it', async () => {
    const dashboard = readDashboard();
    const silent: string[] = [];
    for (const { title, expr } of listExpressions(dashboard)) {
      const series = await prometheus.query(withoutVariables(expr, '30s'));
      if (series.length === 0) silent.push(title);
    }
    // Nothing of this happens: there is no TLS, the runner is a mock, downloads do not fail, nobody drains or restarts.
    assert.deepEqual(silent, [
      'Time until certificates end',
      'Downloads',
      'Sidecars that answer',
      'Workers and their ends',
      'Restarts',
    ]);
  });

  it('evaluates every rule, and raises no alarm', async () => {
    const { groups } = (await prometheus.read('/api/v1/rules')) as {
      groups: { rules: { name: string; health: string; lastError?: string; state?: string }[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    assert.deepEqual(
      rules.filter(({ health }) => health !== 'ok').map(({ name, lastError }) => [name, lastError]),
      [],
    );
    assert.deepEqual(
      rules.filter(({ state }) => state === 'firing').map(({ name }) => name),
      [],
    );
  });
});
