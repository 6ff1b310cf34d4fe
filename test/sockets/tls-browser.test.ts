import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { startChromium } from '../support/chromium.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { createSelfSigned } from '../support/self-signed.ts';
import { createTlsFolder } from '../support/tls-folder.ts';
import { until } from '../support/waiting.ts';

const chromium = await startChromium();
/** Over HTTP/1.1 a browser has six connections to a server, and one stream on each. */
const STREAMS = 20;

describe('a browser over HTTP/2', { skip: 'missing' in chromium && chromium.missing }, () => {
  const pair = createSelfSigned('localhost');
  const folder = createTlsFolder();
  let fake: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    fake = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: fake.endpoint,
      TLS_CERT_FILE: folder.write('tls.crt', pair.cert),
      TLS_KEY_FILE: folder.write('tls.key', pair.key),
    });
  });
  after(async () => {
    if ('browser' in chromium) await chromium.browser.close();
    await gateway.close();
    await fake.close();
    folder.close();
  });

  it(`has ${STREAMS} live event streams at once, and room for requests`, async () => {
    assert.ok('browser' in chromium);
    const ids = Array.from({ length: STREAMS }, () => fake.put({ spec: { name: 'x' }, state: JobState.RUNNING }).id);
    const context = await chromium.browser.newContext({ ignoreHTTPSErrors: true, bypassCSP: true });
    const page = await context.newPage();
    await page.goto(`https://localhost:${gateway.port}/v1/healthz`);
    await page.evaluate(async (workflows) => {
      const seen = new Set<string>();
      Object.assign(globalThis, { seen });
      for (const id of workflows) {
        const asked = { method: 'POST', headers: { Authorization: 'Bearer dev-token' } };
        const answer = await fetch(`/v1/workflows/${id}/stream-tickets`, asked);
        const source = new EventSource(((await answer.json()) as { url: string }).url);
        source.addEventListener('step_update', () => seen.add(id));
      }
    }, ids);
    await until('all are watched', () => fake.openStreams() === STREAMS, 10_000);
    for (const id of ids) fake.stepUpdate(id, { stepId: 'a', state: JobState.RUNNING, fraction: 0.5 });
    const seen = () => page.evaluate(() => (globalThis as unknown as { seen: Set<string> }).seen.size);
    await until('all have their event', async () => (await seen()) === STREAMS, 10_000);
    const { status, protocol } = await page.evaluate(async () => {
      const [navigation] = performance.getEntriesByType('navigation' as never) as unknown as [
        { nextHopProtocol: string },
      ];
      return { status: (await fetch('/v1/healthz')).status, protocol: navigation.nextHopProtocol };
    });
    assert.deepEqual([status, protocol], [200, 'h2']);
    await context.close();
    await until('nobody watches', () => fake.openStreams() === 0);
  });
});
