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
    assert.deepEqual(read({}), {
      databaseUrl: '',
      bindAddr: { host: '0.0.0.0', port: 50051 },
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
      mockStepSeconds: 3,
      concurrency: 32,
      eventRetentionDays: 0,
      executorId: 'local',
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

  it('take the mock runner, with and without sidecars named', () => {
    assert.doesNotThrow(() => read({ RUNNER: 'mock' }));
    assert.doesNotThrow(() => read({ RUNNER: 'mock', SIDECAR_BOLTZ: 'http://boltz:50063' }));
  });

  const refused: Readonly<Record<string, [Record<string, string>, RegExp]>> = {
    'real sidecars by an empty runner': [{ RUNNER: '' }, /^FOLDFORGE_ORCH__RUNNER .*only has .*RUNNER=mock$/],
    'real sidecars by naming one': [{ SIDECAR_AF2: 'http://a:1' }, /^FOLDFORGE_ORCH__SIDECAR_AF2 .*RUNNER=mock$/],
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
