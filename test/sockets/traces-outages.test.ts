import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type OtlpCollector, startOtlpCollector, tracingTo } from '../support/otlp-collector.ts';
import { until } from '../support/waiting.ts';

const LOST = 'traces cannot be exported';
const BACK = 'traces are exported again';

describe('a collector that fails', () => {
  let collector: OtlpCollector;
  let fake: FakeOrchestrator;

  const start = (otel: Record<string, string>, settings: Record<string, string> = {}) =>
    startTestGateway(
      { ORCHESTRATOR_ENDPOINT: fake.endpoint, SHUTDOWN_GRACE_SECONDS: '8', ...settings },
      undefined,
      tracingTo(collector, { OTEL_EXPORTER_OTLP_TIMEOUT: '100', ...otel }),
    );

  before(async () => {
    [collector, fake] = await Promise.all([startOtlpCollector(), startFakeOrchestrator()]);
  });
  beforeEach(() => {
    collector.behave('take');
    collector.spans.length = 0;
    collector.requests.length = 0;
  });
  after(async () => {
    await fake?.close();
    await collector?.close();
  });

  const linesWith = ({ logLines }: TestGateway, text: string) => logLines.filter((line) => line.includes(text));
  const ask = async (gateway: TestGateway) => assert.equal((await gateway.request('/v1/workflows')).status, 200);

  async function closeWithin(gateway: TestGateway, boundMs: number): Promise<void> {
    const startedMs = performance.now();
    await gateway.close();
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < boundMs, `closing took ${Math.round(tookMs)} ms`);
  }

  it('by refusing is told of once for each outage, and once when it is over', async () => {
    const gateway = await start({});
    for (const status of [401, 503]) {
      collector.behave(status);
      const asked = collector.requests.length;
      await until(
        'three exports have failed',
        async () => {
          await ask(gateway);
          return collector.requests.length >= asked + 3;
        },
        20_000,
      );
      collector.behave('take');
      await until('an export succeeds', async () => {
        await ask(gateway);
        return collector.spans.length > 0;
      });
      await until('it is told of', () => linesWith(gateway, BACK).length > 0);
      const [lost, ...others] = linesWith(gateway, LOST).map((line) => JSON.parse(line));
      assert.deepEqual([lost.level, others], ['warn', []]);
      const [back, ...rest] = linesWith(gateway, BACK).map((line) => JSON.parse(line));
      assert.ok(back.lost_spans >= 3);
      assert.deepEqual(rest, []);
      gateway.logLines.length = 0;
      collector.spans.length = 0;
    }
    await gateway.close();
  });

  it('by being away costs no request anything, and is told of once', async () => {
    const gateway = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
    for (let count = 0; count < 20; count++) await ask(gateway);
    await until('the outage is told of', () => linesWith(gateway, LOST).length > 0);
    const [line] = linesWith(gateway, LOST);
    assert.match(line!, /ECONNREFUSED|retryable/);
    for (let count = 0; count < 20; count++) await ask(gateway);
    await closeWithin(gateway, 4_000);
    assert.equal(linesWith(gateway, LOST).length, 1);
  });

  it('by saying nothing holds up no request, and no shutdown beyond 2 s', async () => {
    collector.behave('silence');
    const gateway = await start({ OTEL_EXPORTER_OTLP_TIMEOUT: '60000', OTEL_BSP_MAX_QUEUE_SIZE: '8' });
    await ask(gateway);
    await until('an export hangs', () => collector.requests.length > 0);
    // What does not fit into the queue is dropped.
    for (let count = 0; count < 50; count++) await ask(gateway);
    assert.equal(collector.requests.length, 1, 'one export at a time');
    await closeWithin(gateway, 3_500);
  });

  it('holds up a shutdown for half of a short grace period at most', async () => {
    collector.behave('silence');
    const gateway = await start({ OTEL_EXPORTER_OTLP_TIMEOUT: '60000' }, { SHUTDOWN_GRACE_SECONDS: '0.4' });
    await ask(gateway);
    await closeWithin(gateway, 1_500);
  });

  it('holds up no shutdown whose grace period is over', async () => {
    collector.behave('silence');
    const settings = { SHUTDOWN_DELAY_SECONDS: '1.5', SHUTDOWN_GRACE_SECONDS: '1.5' };
    const gateway = await start({ OTEL_EXPORTER_OTLP_TIMEOUT: '60000' }, settings);
    await ask(gateway);
    await closeWithin(gateway, 2_000);
  });
});
