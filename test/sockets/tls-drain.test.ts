import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway } from '../support/gateway.ts';
import { openH2, readAnswer } from '../support/h2-client.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until, within } from '../support/waiting.ts';

describe('a shutdown with TLS', () => {
  const pair = createSelfSigned('localhost');
  const folder = createTlsFolder();
  let fake: FakeOrchestrator;
  before(async () => {
    fake = await startFakeOrchestrator();
  });
  after(async () => {
    await fake.close();
    folder.close();
  });
  const start = (settings: Readonly<Record<string, string>>) =>
    startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      TLS_CERT_FILE: folder.write('tls.crt', pair.cert),
      TLS_KEY_FILE: folder.write('tls.key', pair.key),
      ...settings,
    });
  const secure = (port: number) => connect({ port, host: 'localhost', ca: pair.cert }).on('error', () => {});

  it('says GOAWAY, lets requests finish, ends streams, and waits for nobody who is idle', async () => {
    const gateway = await start({ SHUTDOWN_GRACE_SECONDS: '20' });
    const idle = openH2(gateway.port, pair.cert);
    assert.equal((await idle.request('/v1/healthz')).status, 200);
    const spare = secure(gateway.port);
    await within('a spare connection', once(spare, 'secureConnect'));
    const client = openH2(gateway.port, pair.cert);
    const gone = once(client.session, 'goaway');
    const id = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id;
    const stream = readAnswer(client.open(`/v1/workflows/${id}/events`));
    await until('the watcher is there', () => fake.openStreams() === 1);
    const answered = Promise.withResolvers<void>();
    fake.onCall('listWorkflows', () => answered.promise);
    const request = readAnswer(client.open('/v1/workflows'));
    await until('the call arrives', () => fake.countCalls('listWorkflows') === 1);
    const closed = gateway.close();
    await within('GOAWAY', gone);
    assert.match((await within('the end of the stream', stream)).body, /retry: \d+/);
    answered.resolve();
    assert.equal((await within('the answer', request)).status, 200);
    await within('the close', closed, 15_000);
    await until('all is closed', () => spare.destroyed && idle.session.destroyed && client.session.destroyed);
  });

  it('cuts what is left after the grace period', async () => {
    const gateway = await start({ SHUTDOWN_GRACE_SECONDS: '0.5' });
    fake.calls.length = 0;
    fake.onCall('getWorkflow', () => new Promise(() => undefined));
    const client = openH2(gateway.port, pair.cert);
    const request = readAnswer(client.open('/v1/workflows/some'));
    const raw = connectTcp(gateway.port, 'localhost').on('error', () => {});
    await until('the call arrives', () => fake.countCalls('getWorkflow') === 1);
    const closed = gateway.close();
    await assert.rejects(within('the cut', request));
    await within('the close', closed);
    await until('all is closed', () => raw.destroyed && client.session.destroyed);
    assert.ok(gateway.logLines.some((line) => line.includes('the shutdown cuts what is still open')));
    fake.clearFaults();
  });
});
