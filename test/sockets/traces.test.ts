import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { settingsFor } from '../orchestrator/program.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { type OtlpCollector, otelSettings, type ReceivedSpan, startOtlpCollector } from '../support/otlp-collector.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { type Program, startProgram } from '../support/process.ts';
import { type Sidecar, silence, startSidecar } from '../support/sidecar.ts';
import { until } from '../support/waiting.ts';

const SERVICE = 'foldforge.orchestrator.v1.OrchestratorService';
const RUN = 'foldforge.rfdiffusion.v1.RFdiffusionService/Run';
const CALLER = 'b7ad6b7169203331';
const STEPS = [
  { id: 'backbone', tool: 'rfdiffusion', params: { contigs: '70-90', num_designs: 1 } },
  { id: 'sequences', tool: 'proteinmpnn', depends_on: ['backbone'], params: { num_sequences: 1 } },
];
const ADDRESS = /"address":"(127\.0\.0\.1:\d+)".*"msg":"ready"/;
/**
 * Says on standard error which modules of OpenTelemetry the program loads, by import or by require; all but its API, which
 * prom-client loads.
 */
const WATCH = `import { registerHooks } from 'node:module';
registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    if (/\\/@opentelemetry\\/(?!api\\/)|\\/open-telemetry/.test(found.url)) console.error('loads ' + found.url);
    return found;
  },
});`;
const WATCHED = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(WATCH)}` };

describe('traces of both programs', () => {
  let postgres: TestPostgres;
  let objectStore: TestObjectStore;
  let collector: OtlpCollector;
  let sidecar: Sidecar;
  let orchestratorEnv: Record<string, string>;
  let orchestrator: Program;
  let gateway: Program;
  let url: string;

  async function startOrchestrator(env: Record<string, string> = {}) {
    const program = startProgram('orchestrator', { env: { ...orchestratorEnv, ...env } });
    const [, address] = await program.prints(ADDRESS);
    return { program, endpoint: `http://${address}` };
  }

  async function startGateway(endpoint: string, env: Record<string, string>) {
    const names = { BIND_ADDR: '127.0.0.1:0', SHUTDOWN_DELAY_SECONDS: '0', ORCHESTRATOR_ENDPOINT: endpoint };
    const program = startProgram('gateway', { env: { ...prefixed('FOLDFORGE_GATEWAY__', names), ...env } });
    const [, address] = await program.prints(ADDRESS);
    return { program, url: `http://${address}` };
  }

  before(async () => {
    [postgres, objectStore, collector, sidecar] = await Promise.all([
      startTestPostgres(),
      startTestObjectStore(),
      startOtlpCollector(),
      startSidecar(),
    ]);
    const { MOCK_STEP_SECONDS: _, ...settings } = settingsFor(await postgres.createMigratedDatabase(), objectStore);
    const sidecars = ['RFDIFFUSION', 'PROTEINMPNN', 'BOLTZ', 'AF2'].map((tool) => [`SIDECAR_${tool}`, sidecar.url]);
    // One port for all of its lives, so that the gateway finds it again.
    const { BIND_ADDR: _address, ...rest } = { ...settings, ...Object.fromEntries(sidecars) };
    orchestratorEnv = {
      ...prefixed('FOLDFORGE_ORCH__', { ...rest, STEP_RETRY_DELAY_SECONDS: '0.05', BIND_ADDR: '127.0.0.1:0' }),
      ...otelSettings(collector),
    };
    const started = await startOrchestrator();
    orchestrator = started.program;
    orchestratorEnv.FOLDFORGE_ORCH__BIND_ADDR = started.endpoint.slice('http://'.length);
    ({ program: gateway, url } = await startGateway(started.endpoint, otelSettings(collector)));
  });
  after(async () => {
    for (const program of [gateway, orchestrator]) program?.kill('SIGKILL');
    await sidecar?.close();
    await collector?.close();
    await objectStore?.close();
    await postgres?.close();
  });

  async function submit(traceId: string): Promise<string> {
    const response = await fetch(`${url}/v1/workflows`, {
      method: 'POST',
      headers: {
        Authorization: 'Bearer dev-token',
        'Content-Type': 'application/json',
        traceparent: `00-${traceId}-${CALLER}-01`,
      },
      body: JSON.stringify({ name: 'traced', steps: STEPS }),
    });
    assert.equal(response.status, 201, await response.clone().text());
    return ((await response.json()) as { id: string }).id;
  }

  const finish = (id: string) =>
    until(
      'the workflow is over',
      async () => {
        const response = await fetch(`${url}/v1/workflows/${id}`, { headers: { Authorization: 'Bearer dev-token' } });
        const { state } = (await response.json()) as { state?: string };
        if (state === 'FAILED') throw new Error('the workflow has failed');
        return state === 'SUCCEEDED';
      },
      20_000,
    );

  const shape = ({ service, kind, name, parentSpanId }: ReceivedSpan) => ({ service, kind, name, parentSpanId });

  it('make one of a submission: gateway, orchestrator, steps, sidecar', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const id = await submit(traceId);
    await finish(id);
    const inTrace = (span: ReceivedSpan) => span.traceId === traceId;
    const request = await collector.span('POST /v1/workflows', inTrace);
    const call = await collector.span(`${SERVICE}/AcceptWorkflow`, ({ kind }) => kind === 'CLIENT');
    const answered = await collector.span(`${SERVICE}/AcceptWorkflow`, ({ kind }) => kind === 'SERVER');
    const step = await collector.span('step rfdiffusion', inTrace);
    const run = await collector.span(RUN, inTrace);
    const [gatewayName, orchestratorName] = ['foldforge-gateway', 'foldforge-orchestrator'];
    assert.deepEqual([request, call, answered, step, run].map(shape), [
      { service: gatewayName, kind: 'SERVER', name: 'POST /v1/workflows', parentSpanId: CALLER },
      { service: gatewayName, kind: 'CLIENT', name: `${SERVICE}/AcceptWorkflow`, parentSpanId: request.spanId },
      { service: orchestratorName, kind: 'SERVER', name: `${SERVICE}/AcceptWorkflow`, parentSpanId: call.spanId },
      { service: orchestratorName, kind: 'INTERNAL', name: 'step rfdiffusion', parentSpanId: answered.spanId },
      { service: orchestratorName, kind: 'CLIENT', name: RUN, parentSpanId: step.spanId },
    ]);
    const { traceId: answeredIn } = answered;
    assert.equal(answeredIn, traceId);
    assert.deepEqual(step.attributes, {
      'foldforge.workflow_id': id,
      'foldforge.step_id': 'backbone',
      'foldforge.attempt': 1,
      'foldforge.tool': 'rfdiffusion',
      'foldforge.outcome': 'succeeded',
    });
    assert.deepEqual([run.attributes['rpc.grpc.status_code'], run.isError], [0, false]);
    const told = sidecar.calls.find(({ tool }) => tool === 'rfdiffusion')!.headers.get('traceparent');
    assert.equal(told, `00-${traceId}-${run.spanId}-01`);
    const second = await collector.span('step proteinmpnn', inTrace);
    assert.equal(second.parentSpanId, answered.spanId);
    const line = stepLine(orchestrator, id, 'backbone');
    assert.deepEqual([line.trace_id, line.span_id], [traceId, step.spanId]);
    assert.notEqual(request.resource['service.instance.id'], answered.resource['service.instance.id']);
  });

  it('tell of a step that fails, and of each attempt', async () => {
    const traceId = '1af7651916cd43dd8448eb211c80319c';
    let runs = 0;
    sidecar.script('rfdiffusion', async function* fail(call) {
      if (++runs > 1) yield* sidecar.runWell(call);
      else yield { error: { code: 'OOM', message: 'hunter2', retryable: true } };
    });
    await finish(await submit(traceId));
    sidecar.script('rfdiffusion', undefined);
    const ofAttempt = (attempt: number) =>
      collector.span(
        'step rfdiffusion',
        (span) => span.traceId === traceId && span.attributes['foldforge.attempt'] === attempt,
      );
    const [first, second] = [await ofAttempt(1), await ofAttempt(2)];
    assert.deepEqual(
      [first.attributes['foldforge.outcome'], first.attributes['error.type'], first.isError],
      ['failed', 'OOM', true],
    );
    assert.deepEqual([second.attributes['foldforge.outcome'], second.isError], ['succeeded', false]);
    assert.equal(second.parentSpanId, first.parentSpanId);
    assert.ok(!collector.texts.join().includes('hunter2'));
  });

  it('go on after kill -9, in the trace of the submission', async () => {
    const traceId = '2af7651916cd43dd8448eb211c80319c';
    sidecar.calls.length = 0;
    sidecar.script('rfdiffusion', silence);
    const id = await submit(traceId);
    await until('the sidecar runs', () => sidecar.calls.length > 0);
    orchestrator.kill('SIGKILL');
    await orchestrator.exits();
    sidecar.script('rfdiffusion', undefined);
    ({ program: orchestrator } = await startOrchestrator());
    await finish(id);
    const answered = await collector.span(
      `${SERVICE}/AcceptWorkflow`,
      (span) => span.traceId === traceId && span.kind === 'SERVER',
    );
    const step = await collector.span('step rfdiffusion', (span) => span.traceId === traceId);
    assert.equal(step.parentSpanId, answered.spanId);
    assert.notEqual(step.resource['service.instance.id'], answered.resource['service.instance.id']);
    const runs = sidecar.calls
      .filter(({ tool }) => tool === 'rfdiffusion')
      .map(({ headers }) => headers.get('traceparent'));
    assert.equal(runs.length, 2);
    assert.ok(runs.every((traceparent) => traceparent?.slice(3, 35) === traceId));
  });

  it('lose nothing when a program is told to stop', async () => {
    const late = { OTEL_BSP_SCHEDULE_DELAY: '60000', ...WATCHED };
    const another = await startGateway(`http://${orchestratorEnv.FOLDFORGE_ORCH__BIND_ADDR}`, {
      ...otelSettings(collector),
      ...late,
      OTEL_SERVICE_NAME: 'late',
    });
    await fetch(`${another.url}/openapi.json`);
    another.program.kill('SIGTERM');
    assert.equal(await another.program.exits(), 0);
    assert.ok(collector.spans.some(({ service, name }) => service === 'late' && name === 'GET /openapi.json'));
    // The next test looks for the same, and finds nothing.
    assert.match(another.program.stderr(), /loads .*\/open-telemetry\b/);
  });

  it('load nothing of OpenTelemetry while they are off', async () => {
    const off = { OTEL_TRACES_EXPORTER: 'none' };
    const idle = await startGateway(`http://${orchestratorEnv.FOLDFORGE_ORCH__BIND_ADDR}`, { ...WATCHED, ...off });
    await fetch(`${idle.url}/v1/workflows`, { headers: { Authorization: 'Bearer dev-token' } });
    idle.program.kill('SIGTERM');
    assert.deepEqual([await idle.program.exits(), idle.program.stderr()], [0, '']);

    orchestrator.kill('SIGTERM');
    await orchestrator.exits();
    const { program } = await startOrchestrator({ ...WATCHED, ...off });
    orchestrator = program;
    // The gateway has looked for it meanwhile, and waits for a moment before it looks again.
    await until('the gateway has found it', async () => (await fetch(`${url}/v1/readyz?deep=true`)).ok);
    const seen = collector.spans.length;
    const traceId = '3af7651916cd43dd8448eb211c80319c';
    const id = await submit(traceId);
    await finish(id);
    const line = stepLine(orchestrator, id, 'backbone');
    assert.deepEqual([line.trace_id, line.span_id], [traceId, undefined], 'logs have the trace all the same');
    assert.equal(program.stderr(), '');
    assert.ok(collector.spans.slice(seen).every(({ service }) => service === 'foldforge-gateway'));
  });

  it('are refused in one line for a protocol that is not there', async () => {
    const grpc = { ...otelSettings(collector), OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' };
    const gatewayEnv = { ...prefixed('FOLDFORGE_GATEWAY__', { BIND_ADDR: '127.0.0.1:0' }), ...grpc };
    const refused = [
      startProgram('gateway', { env: gatewayEnv, args: ['--check-config'] }),
      startProgram('orchestrator', { env: { ...orchestratorEnv, ...grpc } }),
    ];
    for (const program of refused) {
      assert.equal(await program.exits(), 78);
      assert.match(
        program.stderr(),
        /^foldforge-\w+: OTEL_EXPORTER_OTLP_PROTOCOL is "grpc", but must be one of: http\/protobuf, http\/json\n$/,
      );
    }
  });
});

function stepLine(program: Program, workflowId: string, stepId: string) {
  const lines = program.stdout().split('\n');
  const line = lines.find(
    (text) => text.includes(workflowId) && text.includes(`"step_id":"${stepId}"`) && text.includes('a step is done'),
  );
  assert.ok(line, 'the step is logged');
  return JSON.parse(line) as { readonly trace_id?: string; readonly span_id?: string };
}

function prefixed(prefix: string, settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [prefix + name, value]));
}
