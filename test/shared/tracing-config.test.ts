import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EX_CONFIG, StartupError } from '../../src/shared/startup-error.ts';
import { readTracingConfig } from '../../src/shared/tracing-config.ts';

const ON = { OTEL_TRACES_EXPORTER: 'otlp' };
const read = (environment: Readonly<Record<string, string>>) => readTracingConfig(environment, 'foldforge-gateway');

function faultOf(environment: Readonly<Record<string, string>>): string {
  try {
    read({ ...ON, ...environment });
  } catch (error) {
    assert.ok(error instanceof StartupError);
    assert.equal(error.exitCode, EX_CONFIG);
    return error.message;
  }
  return 'no fault';
}

describe('the settings of traces', () => {
  const cases: [what: string, environment: Record<string, string>, isOn: boolean][] = [
    ['nothing', {}, false],
    ['an exporter', ON, true],
    ['an endpoint', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, true],
    ['an endpoint of traces', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:4318/v1/traces' }, true],
    ['an empty endpoint', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
    ['an endpoint, but no exporter', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_TRACES_EXPORTER: 'none' }, false],
    ['a disabled SDK', { ...ON, OTEL_SDK_DISABLED: 'True' }, false],
    ['an SDK that is not disabled', { ...ON, OTEL_SDK_DISABLED: 'false' }, true],
    ['a bad protocol that nobody needs', { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, false],
  ];
  for (const [what, environment, isOn] of cases) {
    it(`with ${what}: ${isOn ? 'on' : 'off'}`, () => assert.equal(read(environment) !== undefined, isOn));
  }

  it('have the defaults of OpenTelemetry', () => {
    assert.deepEqual(read(ON), {
      resource: { 'service.name': 'foldforge-gateway' },
      sampler: 'parentbased_always_on',
      ratio: 1,
      exporter: {
        protocol: 'http/protobuf',
        url: 'http://localhost:4318/v1/traces',
        headers: {},
        timeoutMs: 10_000,
        compression: 'none',
      },
      batch: { delayMs: 5_000, timeoutMs: 30_000, queueSize: 2_048, size: 512 },
    });
  });

  it('take the variable of traces alone before the one of all signals', () => {
    const config = read({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://all/base/',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_HEADERS: 'a=1',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-key=s%3Dcret, b = two%20words',
      OTEL_EXPORTER_OTLP_TIMEOUT: '100',
      OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: 'gzip',
    });
    assert.deepEqual(config?.exporter, {
      protocol: 'http/json',
      url: 'https://all/base/v1/traces',
      headers: { 'x-key': 's=cret', b: 'two words' },
      timeoutMs: 100,
      compression: 'gzip',
    });
    const own = read({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://b/c' });
    assert.equal(own?.exporter.url, 'http://b/c');
  });

  it('name the service by OTEL_SERVICE_NAME, else by OTEL_RESOURCE_ATTRIBUTES, else by the program', () => {
    const attributes = { OTEL_RESOURCE_ATTRIBUTES: 'service.name=theirs,deployment.environment.name=a%2Cb' };
    const resourceOf = (environment: Record<string, string>) => read({ ...ON, ...environment })!.resource;
    assert.deepEqual(resourceOf(attributes), { 'service.name': 'theirs', 'deployment.environment.name': 'a,b' });
    assert.equal(resourceOf({ ...attributes, OTEL_SERVICE_NAME: 'ours' })['service.name'], 'ours');
  });

  it('take the argument of a sampler that has one', () => {
    const ratioOf = (sampler: string) =>
      read({ ...ON, OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: '0.25' })!.ratio;
    assert.equal(ratioOf('parentbased_traceidratio'), 0.25);
    assert.equal(ratioOf('always_on'), 1);
  });

  const faults: [environment: Record<string, string>, line: RegExp][] = [
    [{ OTEL_TRACES_EXPORTER: 'zipkin' }, /^OTEL_TRACES_EXPORTER is "zipkin", but must be one of: otlp, none$/],
    [
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      /^OTEL_EXPORTER_OTLP_PROTOCOL is "grpc", but must be one of: http\/protobuf, http\/json$/,
    ],
    [{ OTEL_TRACES_SAMPLER: 'jaeger_remote' }, /^OTEL_TRACES_SAMPLER is "jaeger_remote"/],
    [{ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '2' }, /^OTEL_TRACES_SAMPLER_ARG is "2"/],
    [{ OTEL_BSP_SCHEDULE_DELAY: 'soon' }, /^OTEL_BSP_SCHEDULE_DELAY is "soon"/],
    [{ OTEL_BSP_MAX_QUEUE_SIZE: '4', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '5' }, /larger than OTEL_BSP_MAX_QUEUE_SIZE$/],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http//hunter2' }, /^OTEL_EXPORTER_OTLP_ENDPOINT must be an http/],
    [{ OTEL_EXPORTER_OTLP_HEADERS: 'hunter2' }, /^OTEL_EXPORTER_OTLP_HEADERS must be key=value/],
    [{ OTEL_EXPORTER_OTLP_HEADERS: 'a=%hunter2' }, /^OTEL_EXPORTER_OTLP_HEADERS must be key=value/],
    [{ OTEL_EXPORTER_OTLP_HEADERS: 'a=hunter2%0A' }, /^OTEL_EXPORTER_OTLP_HEADERS has a name or a value that no HTTP/],
    [{ OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'a b=hunter2' }, /^OTEL_EXPORTER_OTLP_TRACES_HEADERS has a name or a value/],
    [
      { OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere/ca.pem' },
      /^OTEL_EXPORTER_OTLP_CERTIFICATE names a file that cannot be read \(ENOENT\)$/,
    ],
    [
      { OTEL_EXPORTER_OTLP_COMPRESSION: 'br', OTEL_EXPORTER_OTLP_TIMEOUT: '0' },
      /TIMEOUT is "0".*; .*COMPRESSION is "br"/,
    ],
  ];
  for (const [environment, line] of faults) {
    it(`are refused in one line for ${Object.entries(environment)}`, () => {
      assert.match(faultOf(environment), line);
      assert.doesNotMatch(faultOf(environment), /hunter2|\n/);
    });
  }

  it('fill no batch that the queue has no room for', () => {
    assert.deepEqual(read({ ...ON, OTEL_BSP_MAX_QUEUE_SIZE: '10' })?.batch.size, 10);
  });
});
