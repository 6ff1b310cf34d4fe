import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readOrchestratorConfig, requireBackends } from '../../src/orchestrator/config.ts';
import { StartupError } from '../../src/shared/startup-error.ts';

const read = (settings: Readonly<Record<string, string>>) =>
  readOrchestratorConfig(
    Object.fromEntries(Object.entries(settings).map(([name, value]) => [`FOLDFORGE_ORCH__${name}`, value])),
  );

describe('the settings of the orchestrator', () => {
  it('have the defaults that operators know', () => {
    const { executorId, ...config } = read({});
    assert.match(executorId, /^[\w.-]+-[0-9a-f]{8}$/);
    assert.notEqual(read({}).executorId, executorId, 'two processes have two names');
    assert.deepEqual(config, {
      databaseUrl: '',
      bindAddr: { host: '0.0.0.0', port: 50051 },
      tls: undefined,
      metricsAddr: { host: '0.0.0.0', port: 9090 },
      objectStore: {
        endpoint: '',
        region: 'auto',
        bucket: 'foldforge',
        accessKeyId: '',
        secretAccessKey: '',
        pathStyle: true,
      },
      billing: { enabled: false, pricePerStep: 10n },
      runner: 'mock',
      sidecars: {
        rfdiffusion: 'http://127.0.0.1:50061',
        proteinmpnn: 'http://127.0.0.1:50062',
        boltz: 'http://127.0.0.1:50063',
        af2: 'http://127.0.0.1:50064',
      },
      sidecarTls: undefined,
      mockStepSeconds: 3,
      concurrency: 32,
      limits: { rfdiffusion: 0, proteinmpnn: 0, boltz: 0, af2: 0 },
      retries: { limit: 0, delayMs: 5_000 },
      eventRetentionDays: 0,
      retainDays: 0,
      logLevel: 'info',
    });
  });

  it('clamp the price of a step', () => {
    assert.equal(read({ PRICE_PER_STEP: '-3' }).billing.pricePerStep, 0n);
    assert.equal(read({ PRICE_PER_STEP: '7' }).billing.pricePerStep, 7n);
    assert.equal(read({ PRICE_PER_STEP: '99999999999' }).billing.pricePerStep, 1_000_000n);
  });

  it('take a part of a day for the retention of events', () => {
    assert.equal(read({ EVENT_RETENTION_DAYS: '0.25' }).eventRetentionDays, 0.25);
  });

  it('take real sidecars when the runner is empty, or left out while one is named', () => {
    const named = { SIDECAR_BOLTZ: 'http://boltz:50063' };
    assert.equal(read({ RUNNER: 'mock', ...named }).runner, 'mock');
    assert.equal(read({ RUNNER: '' }).runner, 'sidecars');
    assert.equal(read(named).runner, 'sidecars');
    assert.equal(read(named).sidecars.boltz, 'http://boltz:50063');
  });

  it('try steps again by themselves with sidecars, and when told', () => {
    assert.equal(read({ RUNNER: '' }).retries.limit, 2);
    assert.equal(read({ RUNNER: '', STEP_RETRIES: '0' }).retries.limit, 0);
    assert.deepEqual(read({ STEP_RETRIES: '7', STEP_RETRY_DELAY_SECONDS: '0.5' }).retries, { limit: 7, delayMs: 500 });
  });

  it('limit a tool', () => {
    assert.equal(read({ CONCURRENCY_AF2: '2' }).limits.af2, 2);
  });

  const refused: Readonly<Record<string, [Record<string, string>, RegExp]>> = {
    'a sidecar that is no URL': [{ SIDECAR_AF2: 'a:1' }, /^FOLDFORGE_ORCH__SIDECAR_AF2 /],
    'retries in words': [{ STEP_RETRIES: 'some' }, /^FOLDFORGE_ORCH__STEP_RETRIES is "some"/],
    'a negative limit of a tool': [{ CONCURRENCY_AF2: '-1' }, /^FOLDFORGE_ORCH__CONCURRENCY_AF2 /],
    'an unknown runner': [{ RUNNER: 'gpu' }, /^FOLDFORGE_ORCH__RUNNER /],
    'an unknown name': [{ DATABASE: 'x' }, /FOLDFORGE_ORCH__DATABASE is not a setting.*DATABASE_URL/],
    'a database of another kind': [{ DATABASE_URL: 'mysql://u:hunter2@h/d' }, /^FOLDFORGE_ORCH__DATABASE_URL must be/],
    'a price in words': [{ PRICE_PER_STEP: 'ten' }, /^FOLDFORGE_ORCH__PRICE_PER_STEP /],
    'a retention that is negative': [{ EVENT_RETENTION_DAYS: '-1' }, /^FOLDFORGE_ORCH__EVENT_RETENTION_DAYS is "-1"/],
    'a bad executor id': [{ EXECUTOR_ID: 'a b' }, /^FOLDFORGE_ORCH__EXECUTOR_ID /],
    'no concurrency': [{ CONCURRENCY: '0' }, /^FOLDFORGE_ORCH__CONCURRENCY /],
    'a bad address': [{ BIND_ADDR: 'nonsense' }, /^FOLDFORGE_ORCH__BIND_ADDR /],
  };
  for (const [what, [settings, message]] of Object.entries(refused)) {
    it(`refuse ${what} in one line`, () => {
      assert.throws(
        () => read(settings),
        (error: unknown) => {
          assert.ok(error instanceof StartupError);
          assert.equal(error.exitCode, 78);
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /\n|hunter2/);
          return true;
        },
      );
    });
  }

  it('must name a database and an object store when the program is on its own', () => {
    const database = { DATABASE_URL: 'postgresql://localhost/ff' };
    const endpoint = { R2_ENDPOINT: 'http://127.0.0.1:9000' };
    const objectStore = { ...endpoint, R2_ACCESS_KEY_ID: 'id', R2_SECRET_ACCESS_KEY: 'secret' };
    assert.doesNotThrow(() => requireBackends(read({ ...database, ...objectStore })));
    assert.throws(() => requireBackends(read(objectStore)), /DATABASE_URL is not set.*npm start/);
    assert.throws(() => requireBackends(read(database)), /R2_ENDPOINT is not set/);
    assert.throws(() => requireBackends(read({ ...database, ...endpoint })), /R2_SECRET_ACCESS_KEY must be set too/);
  });
});
