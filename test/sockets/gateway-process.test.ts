import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { gatewaySettings } from '../../src/gateway/config.ts';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { checkAnswer } from '../support/contract-check.ts';
import { startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { CONTRACT } from '../support/gateway.ts';
import { startProgram } from '../support/process.ts';
import { collectSse } from '../support/sse-client.ts';
import { until, within } from '../support/waiting.ts';

const G = 'FOLDFORGE_GATEWAY__';
const LOCAL = { [`${G}BIND_ADDR`]: '127.0.0.1:0' };
const ADMIN = { Authorization: 'Bearer dev-token' };

describe('the gateway refuses to start', () => {
  const cases: [what: string, env: Record<string, string>, args: string[], exitCode: number, line: RegExp][] = [
    [
      'on a bad number',
      { ...LOCAL, [`${G}AUTH_CACHE_TTL_SECONDS`]: 'soon' },
      [],
      78,
      /AUTH_CACHE_TTL_SECONDS is "soon"/,
    ],
    ['on an unknown name', { ...LOCAL, [`${G}API_TOKENS`]: 'x' }, [], 78, /API_TOKENS is not a setting.*API_TOKEN\?/],
    ['with dev-token on a public address', {}, [], 78, /API_TOKEN is dev-token/],
    ['with dev-token among others there', { [`${G}API_TOKEN`]: 'good,dev-token' }, [], 78, /API_TOKEN is dev-token/],
    ['with an empty token', { ...LOCAL, [`${G}API_TOKEN`]: 'a,,b' }, [], 78, /API_TOKEN has an empty entry/],
    ['with a store but no key to it', { ...LOCAL, [`${G}R2_ENDPOINT`]: 'http://x' }, [], 78, /R2_ACCESS_KEY_ID/],
    [
      'with an endpoint that is no URL',
      { ...LOCAL, [`${G}ORCHESTRATOR_ENDPOINT`]: 'db:1' },
      [],
      78,
      /ORCHESTRATOR_ENDPOINT must/,
    ],
    ['on an unknown argument', LOCAL, ['--port=1'], 64, /--port=1/],
    [
      'with a secret file that is not there',
      { ...LOCAL, [`${G}API_TOKEN_FILE`]: '/no/such' },
      [],
      78,
      /API_TOKEN_FILE.*ENOENT/,
    ],
  ];
  for (const [what, env, args, exitCode, line] of cases) {
    it(what, async () => {
      const program = startProgram('gateway', { env, args });
      assert.equal(await program.exits(), exitCode);
      assert.match(program.stderr(), line);
      assert.match(program.stderr(), /^foldforge-gateway: [^\n]+\n$/, 'one line');
      assert.equal(program.stdout(), '');
    });
  }

  it('on a port that is in use', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const program = startProgram('gateway', { env: { [`${G}BIND_ADDR`]: `127.0.0.1:${port}` } });
    assert.equal(await program.exits(), 69);
    assert.equal(program.stderr(), `foldforge-gateway: cannot listen on 127.0.0.1:${port}: the port is in use\n`);
    holder.close();
  });

  it('but says so when the configuration is good, and never prints a secret', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-test-'));
    const file = path.join(folder, 'token');
    writeFileSync(file, 'from-a-file\n');
    const program = startProgram('gateway', { env: { [`${G}API_TOKEN_FILE`]: file }, args: ['--check-config'] });
    assert.equal(await program.exits(), 0);
    const lines = program.stdout().trimEnd().split('\n');
    assert.equal(lines.at(-1), 'foldforge-gateway: the configuration is good');
    assert.equal(lines.length, Object.keys(gatewaySettings).length + 1);
    assert.ok(lines.includes(`${G}API_TOKEN=[secret, from ${file}]`));
    assert.ok(lines.includes(`#${G}R2_REGION=auto`));
    assert.doesNotMatch(program.stdout(), /from-a-file/);
    const bad = startProgram('gateway', { env: { [`${G}R2_ACCESS_KEY_ID`]: 'canary', [`${G}API_TOKEN`]: 'canary,' } });
    assert.equal(await bad.exits(), 78);
    assert.doesNotMatch(bad.stderr(), /canary/);
    rmSync(folder, { recursive: true });
  });
});

describe('the gateway as a process', () => {
  it('drains on SIGTERM: readyz 503, streams ended, requests finished, exit 0', async () => {
    const fake = await startFakeOrchestrator();
    const program = startProgram('gateway', {
      env: { ...LOCAL, [`${G}ORCHESTRATOR_ENDPOINT`]: fake.endpoint, [`${G}SHUTDOWN_DELAY_SECONDS`]: '1' },
    });
    const [, address] = await program.prints(/"address":"([^"]+)".*"ready"/);
    const url = `http://${address}`;
    assert.equal((await fetch(`${url}/v1/readyz`)).status, 200);

    const { id } = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING });
    const stream = collectSse(await fetch(`${url}/v1/workflows/${id}/events`, { headers: ADMIN }));
    await until('the stream is open', () => fake.openStreams() === 1);
    let release: () => void = () => undefined;
    fake.onCall('getBalance', () => new Promise<void>((resolve) => (release = resolve)));
    const slow = fetch(`${url}/v1/billing/balance`, { headers: ADMIN });
    await until('the slow request is under way', () => fake.countCalls('getBalance') === 1);

    program.kill('SIGTERM');
    await until('it drains', async () => (await fetch(`${url}/v1/readyz`)).status === 503);
    assert.equal((await fetch(`${url}/v1/healthz`)).status, 200);
    const refused = await fetch(`${url}/v1/workflows/${id}/events`, { headers: ADMIN });
    assert.deepEqual([refused.status, refused.headers.get('connection')], [503, 'close']);
    const resumed = await fetch(`${url}/v1/workflows/${id}/events`, { headers: { ...ADMIN, 'Last-Event-ID': '7' } });
    const [first, last] = await within('the resumed stream ends', collectSse(resumed));
    assert.deepEqual([resumed.status, first?.id, first?.data], [200, '7', undefined]);
    for (const { retry } of [first!, last!]) assert.match(retry ?? '', /^\d{4}$/);
    const events = await within('the stream ends', stream);
    assert.match(events.at(-1)?.retry ?? '', /^\d{4}$/);
    release();
    assert.equal((await slow).status, 200);
    assert.equal(await program.exits(), 0);
    assert.equal(program.stderr(), '');
    await fake.close();
  });

  it('logs JSON lines with request ids, and no secret', async () => {
    const fake = await startFakeOrchestrator();
    const env = { ...LOCAL, [`${G}ORCHESTRATOR_ENDPOINT`]: fake.endpoint, [`${G}API_TOKEN`]: 'canary-token' };
    const program = startProgram('gateway', { env: { ...env, [`${G}SHUTDOWN_DELAY_SECONDS`]: '0' } });
    const [, address] = await program.prints(/"address":"([^"]+)".*"ready"/);
    const headers = { Authorization: 'Bearer canary-token', 'X-Request-Id': 'find-me' };
    await fetch(`http://${address}/v1/workflows?token=canary-query`, { headers });
    await fetch(`http://${address}/v1/workflows`, { headers: { Authorization: 'Bearer canary-wrong' } });
    await program.prints(/"request_id":"find-me"/);
    program.kill('SIGINT');
    assert.equal(await program.exits(), 0);
    const lines = program
      .stdout()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const request = lines.find(({ request_id }) => request_id === 'find-me');
    assert.deepEqual(
      [request.method, request.route, request.status, typeof request.duration_ms],
      ['GET', '/v1/workflows', 400, 'number'],
    );
    assert.doesNotMatch(program.stdout() + program.stderr(), /canary/);
    await fake.close();
  });

  it('serves every route with an orchestrator of the base contract', async () => {
    const fake = await startFakeOrchestrator();
    const program = startProgram('gateway', { env: { ...LOCAL, [`${G}ORCHESTRATOR_ENDPOINT`]: fake.endpoint } });
    const [, address] = await program.prints(/"address":"([^"]+)".*"ready"/);
    const send = async (method: string, target: string, body?: object) => {
      const response = await fetch(`http://${address}${target}`, {
        method,
        headers: { ...ADMIN, ...(body && { 'Content-Type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
      });
      await checkAnswer(CONTRACT, method, target, response);
      return response;
    };
    const submitted = await send('POST', '/v1/workflows', { name: 'x', steps: [{ id: 'a', tool: 'af2' }] });
    const { id } = (await submitted.json()) as { id: string };
    const failed = fake.put({ spec: { name: 'y' }, state: JobState.FAILED });
    const statuses = {
      submit: submitted.status,
      list: (await send('GET', '/v1/workflows')).status,
      get: (await send('GET', `/v1/workflows/${id}`)).status,
      retry: (await send('POST', `/v1/workflows/${failed.id}/retry`)).status,
      rank: (await send('POST', `/v1/workflows/${id}/rank`, { metric: 'plddt' })).status,
      artifact: (await send('GET', `/v1/workflows/${id}/artifacts/none`)).status,
      cancel: (await send('DELETE', `/v1/workflows/${id}`)).status,
      over: (await send('GET', `/v1/workflows/${id}/events?last_event_id=5`)).status,
      balance: (await send('GET', '/v1/billing/balance')).status,
      ledger: (await send('GET', '/v1/billing/ledger')).status,
      healthz: (await send('GET', '/v1/healthz')).status,
      readyz: (await send('GET', '/v1/readyz')).status,
      metrics: (await send('GET', '/metrics')).status,
    };
    assert.deepEqual(statuses, {
      submit: 201,
      list: 200,
      get: 200,
      retry: 200,
      rank: 200,
      artifact: 404,
      cancel: 200,
      over: 204,
      balance: 200,
      ledger: 200,
      healthz: 200,
      readyz: 200,
      metrics: 200,
    });
    const events = await within('the stream', collectSse(await send('GET', `/v1/workflows/${id}/events`)));
    assert.deepEqual(events.at(-1), { event: 'end', data: '{"state":"CANCELLED"}' });
    program.kill('SIGKILL');
    await program.exits();
    await fake.close();
  });
});
