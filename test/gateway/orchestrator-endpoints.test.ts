import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GATEWAY_PREFIX, readGatewayConfig } from '../../src/gateway/config.ts';
import { createMergedMetrics } from '../../src/gateway/merged-metrics.ts';
import { createMetrics } from '../../src/gateway/metrics.ts';
import { createAddressObserver } from '../../src/gateway/upstream/address-observer.ts';
import { readEndpoints } from '../../src/gateway/upstream/endpoints.ts';
import { isRepeatable } from '../../src/gateway/upstream/repeatable.ts';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { createLog } from '../../src/shared/log.ts';
import { EX_CONFIG, StartupError } from '../../src/shared/startup-error.ts';

/** The config of a gateway on loopback with these settings. */
function read(settings: Readonly<Record<string, string>>) {
  const given = { BIND_ADDR: '127.0.0.1:0', ...settings };
  return readGatewayConfig(
    Object.fromEntries(Object.entries(given).map(([name, value]) => [GATEWAY_PREFIX + name, value])),
  );
}

const hrefs = (text: string) => readEndpoints(text).map(({ href }) => href);

describe('ORCHESTRATOR_ENDPOINT', () => {
  it('is one URL, as it was, or its default', () => {
    assert.equal(read({}).ORCHESTRATOR_ENDPOINT, 'http://127.0.0.1:50051');
    const one = read({ ORCHESTRATOR_ENDPOINT: ' https://orch.test/base/ ' });
    assert.equal(one.ORCHESTRATOR_ENDPOINT, 'https://orch.test/base');
    assert.deepEqual(hrefs('https://orch.test/base'), ['https://orch.test/base']);
  });

  it('is a list with commas between its URLs', () => {
    const { ORCHESTRATOR_ENDPOINT } = read({ ORCHESTRATOR_ENDPOINT: 'http://a:1, http://b:1/ ,http://[::1]:1' });
    assert.equal(ORCHESTRATOR_ENDPOINT, 'http://a:1,http://b:1,http://[::1]:1');
    assert.deepEqual(hrefs(ORCHESTRATOR_ENDPOINT), ['http://a:1/', 'http://b:1/', 'http://[::1]:1/']);
  });

  it('may have names as gRPC writes them', () => {
    assert.equal(
      read({ ORCHESTRATOR_ENDPOINT: 'dns:///orch.prod.svc:50051' }).ORCHESTRATOR_ENDPOINT,
      'dns:///orch.prod.svc:50051',
    );
    assert.deepEqual(hrefs('dns:///orch.prod.svc:50051'), ['http://orch.prod.svc:50051/']);
    assert.deepEqual(hrefs('dns:///a:1,http://b:1'), ['http://a:1/', 'http://b:1/']);
  });

  const WRONG: readonly (readonly [string, RegExp])[] = [
    ['', /must be an http:\/\/ or https:\/\/ URL/],
    ['orch:50051', /must be an http:\/\/ or https:\/\/ URL/],
    ['http://a:1,', /has an empty entry; write the URLs with commas between them/],
    ['http://a:1,grpc://b:1', /must be an http:\/\/ or https:\/\/ URL without user, query or fragment in its entry 2/],
    ['http://a:1,https://b:1', /has both http:\/\/ and https:\/\/ URLs/],
    ['https://a:1,dns:///b:1', /has both http:\/\/ and https:\/\/ URLs/],
    ['http://a:1,http://b:1/x', /has http:\/\/b:1\/x, but a URL among several must have no path/],
    ['http://a:1,http://b:1,http://A:1/', /has http:\/\/a:1 twice/],
    ['http://a,http://a:80', /has http:\/\/a twice/],
    ['dns:///a', /must be written dns:\/\/\/name:port/],
    ['dns://10.0.0.1/a:1', /must be written dns:\/\/\/name:port/],
    ['dns:a:1', /must be written dns:\/\/\/name:port/],
    ['dns:///a:1/x', /must be written dns:\/\/\/name:port/],
    ['dns:///a:99999', /must be written dns:\/\/\/name:port/],
    ['http://a:1,dns:///b', /must be written dns:\/\/\/name:port in its entry 2/],
  ];
  for (const [value, message] of WRONG) {
    it(`is refused as "${value}"`, () => {
      assert.throws(
        () => read({ ORCHESTRATOR_ENDPOINT: value }),
        (error: StartupError) => {
          assert.ok(error instanceof StartupError);
          assert.equal(error.exitCode, EX_CONFIG);
          assert.match(error.message, /^FOLDFORGE_GATEWAY__ORCHESTRATOR_ENDPOINT /);
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  it('is refused without showing a password', () => {
    assert.throws(
      () => read({ ORCHESTRATOR_ENDPOINT: 'http://a:1,http://me:hunter2@b:1' }),
      (error: StartupError) => !error.message.includes('hunter2') && /in its entry 2/.test(error.message),
    );
  });

  for (const ORCHESTRATOR_TRANSPORT of ['session', 'stock']) {
    it(`has one URL for ${ORCHESTRATOR_TRANSPORT}`, () => {
      read({ ORCHESTRATOR_TRANSPORT, ORCHESTRATOR_ENDPOINT: 'http://a:1' });
      for (const ORCHESTRATOR_ENDPOINT of ['http://a:1,http://b:1', 'dns:///a:1']) {
        assert.throws(
          () => read({ ORCHESTRATOR_TRANSPORT, ORCHESTRATOR_ENDPOINT }),
          /only FOLDFORGE_GATEWAY__ORCHESTRATOR_TRANSPORT=direct can use; \w+ takes one/,
        );
      }
    });
  }
});

describe('the addresses of several workers', () => {
  it('are counted once, as the worker has them that sees most in that state', async () => {
    const merged = createMergedMetrics();
    for (const [id, up, down] of [
      [1, 3, 0],
      [2, 2, 1],
    ] as const) {
      const metrics = createMetrics();
      const { onCounts, onRetry } = createAddressObserver({ metrics, log: createLog('test', 'silent') });
      onCounts({ up, down, ejected: 0 });
      onRetry('GetWorkflow');
      merged.record(id, await metrics.registry.getMetricsAsJSON());
    }
    const lines = (await merged.read(new Set([1, 2]))).split('\n');
    assert.deepEqual(
      lines.filter((line) => line.startsWith('foldforge_gateway_upstream_endpoints{')),
      [
        'foldforge_gateway_upstream_endpoints{state="up"} 3',
        'foldforge_gateway_upstream_endpoints{state="down"} 1',
        'foldforge_gateway_upstream_endpoints{state="ejected"} 0',
      ],
    );
    assert.ok(lines.includes('foldforge_gateway_upstream_retries_total{method="GetWorkflow"} 2'));
  });
});

describe('a call whose answer was lost', () => {
  const { method } = OrchestratorService;

  it('is made again when it changes nothing, or has an idempotency key', () => {
    const repeatable = Object.values(method).filter((each) => isRepeatable(each, { idempotencyKey: 'k' }));
    assert.deepEqual(repeatable.map(({ name }) => name).sort(), [
      'AcceptWorkflow',
      'AuthenticateApiKey',
      'GetBalance',
      'GetWorkflow',
      'GrantCredits',
      'ListLedger',
      'ListWorkflows',
      'RankDesigns',
      'StreamWorkflowEvents',
      'SubmitWorkflow',
    ]);
  });

  it('is never made again when it may change something twice', () => {
    const { acceptWorkflow, submitWorkflow, grantCredits, consumeQuota, cancelWorkflow, retryWorkflow } = method;
    for (const each of [acceptWorkflow, submitWorkflow, grantCredits]) {
      assert.equal(isRepeatable(each, {}), false, each.name);
      assert.equal(isRepeatable(each, { idempotencyKey: '' }), false, each.name);
    }
    for (const each of [consumeQuota, cancelWorkflow, retryWorkflow])
      assert.equal(isRepeatable(each, {}), false, each.name);
  });
});
