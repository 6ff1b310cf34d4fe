import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { GATEWAY_PREFIX } from '../../src/gateway/config.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { openH2 } from '../support/h2-client.ts';
import { type Program, startProgram } from '../support/process.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until, within } from '../support/waiting.ts';

const HEALTH_CHECK = fileURLToPath(new URL('../../scripts/healthcheck.ts', import.meta.url));

describe('the gateway as a program with TLS', () => {
  const first = createSelfSigned('localhost');
  const second = createSelfSigned('localhost', 100);
  const folder = createTlsFolder();
  const env = {
    [`${GATEWAY_PREFIX}BIND_ADDR`]: '127.0.0.1:0',
    [`${GATEWAY_PREFIX}TLS_CERT_FILE`]: folder.write('tls.crt', first.cert),
    [`${GATEWAY_PREFIX}TLS_KEY_FILE`]: folder.write('tls.key', first.key),
  };
  let fake: FakeOrchestrator;
  let program: Program;
  let address: string;
  let port: number;
  before(async () => {
    fake = await startFakeOrchestrator();
    const endpoint = { [`${GATEWAY_PREFIX}ORCHESTRATOR_ENDPOINT`]: fake.endpoint };
    program = startProgram('gateway', { env: { ...env, ...endpoint, [`${GATEWAY_PREFIX}WORKERS`]: '2' } });
    [, address] = (await program.prints(/"address":"([^"]+)".*"ready"/)) as unknown as [string, string];
    port = Number(address.split(':')[1]);
  });
  after(async () => {
    program.kill('SIGKILL');
    await program.exits();
    await fake.close();
    folder.close();
  });

  /** Asks over so many connections, which go to the workers in turn. */
  async function metrics(ca: string, connections = 4): Promise<string[]> {
    const clients = Array.from({ length: connections }, () => openH2(port, ca));
    const answers = await Promise.all(clients.map((client) => client.request('/metrics')));
    for (const client of clients) client.close();
    return answers.map(({ body }) => body);
  }

  it('serves from all its workers, and tells of one certificate', async () => {
    const answers = await metrics(first.cert);
    const [expiry] = /^foldforge_gateway_tls_certificate_expiry_timestamp_seconds\{certificate="listener"\} .*$/m.exec(
      answers[0]!,
    )!;
    assert.ok(Math.abs(Number(expiry.split(' ')[1]) - Date.now() / 1000 - 86_400) < 600, expiry);
    for (const text of answers) {
      assert.ok(text.includes(expiry));
      assert.match(text, /^foldforge_gateway_workers 2$/m);
    }
  });

  it('is asked by the health check of its container', {
    skip: process.platform !== 'linux' && 'it reads /proc',
  }, async () => {
    const unusable = { [`${GATEWAY_PREFIX}TLS_CERT_FILE`]: folder.write('unusable.crt', second.cert) };
    const probed = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'gateway'], { stdio: 'ignore' });
    const check = spawn(process.execPath, [HEALTH_CHECK, String(probed.pid)], {
      // A new certificate lies there that could not be used, so the old one is shown.
      env: { ...env, ...unusable, [`${GATEWAY_PREFIX}BIND_ADDR`]: address },
      stdio: 'inherit',
    });
    const [exitCode] = await within('the health check', once(check, 'close'), 10_000);
    probed.kill();
    assert.equal(exitCode, 0);
  });

  it('shows a new certificate from all its workers', async () => {
    folder.write('tls.key', second.key);
    folder.write('tls.crt', second.cert);
    await until(
      'all show it',
      () =>
        metrics(second.cert).then(
          () => true,
          () => false,
        ),
      10_000,
    );
  });

  it('refuses to start with a key of another certificate, and says which variable it is', async () => {
    const wrong = { [`${GATEWAY_PREFIX}TLS_KEY_FILE`]: folder.write('wrong.key', first.key) };
    const refused = startProgram('gateway', { env: { ...env, ...wrong }, args: ['--check-config'] });
    assert.equal(await refused.exits(), 78);
    assert.match(refused.stderr(), /^foldforge-gateway: FOLDFORGE_GATEWAY__TLS_KEY_FILE is not the key .*\n$/);
  });
});
