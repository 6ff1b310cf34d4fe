import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { create, type JsonObject } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { WorkflowSpecSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { createArtifactWriter } from '../../src/orchestrator/runners/artifact-writer.ts';
import { collect, eventually, refusal } from '../orchestrator/harness.ts';
import { createPrograms, settingsFor } from '../orchestrator/program.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';

type Program = Awaited<ReturnType<ReturnType<typeof createPrograms>['start']>>;

/** [id, tool, dependencies, params] */
type Steps = readonly (readonly [string, string, readonly string[], JsonObject])[];

const specOf = (steps: Steps) =>
  create(WorkflowSpecSchema, {
    name: 'real',
    steps: steps.map(([id, tool, dependsOn, params]) => ({ id, tool, dependsOn: [...dependsOn], params })),
  });

describe('an orchestrator with real sidecars', () => {
  let postgres: TestPostgres;
  let objectStore: TestObjectStore;
  let sidecar: Sidecar;
  let program: Program;
  let settings: Record<string, string>;
  const programs = createPrograms();

  before(async () => {
    [postgres, objectStore] = await Promise.all([startTestPostgres(), startTestObjectStore()]);
    const writer = createArtifactWriter({
      endpoint: objectStore.url,
      region: 'auto',
      bucket: objectStore.bucket,
      accessKeyId: objectStore.accessKeyId,
      secretAccessKey: objectStore.secretAccessKey,
      pathStyle: true,
    });
    sidecar = await startSidecar({ putArtifact: writer.putArtifact });
    const { MOCK_STEP_SECONDS: _, ...rest } = settingsFor(await postgres.createMigratedDatabase(), objectStore);
    const tools = ['RFDIFFUSION', 'PROTEINMPNN', 'BOLTZ', 'AF2'];
    const sidecars = Object.fromEntries(tools.map((tool) => [`SIDECAR_${tool}`, sidecar.url]));
    settings = { ...rest, ...sidecars, STEP_RETRY_DELAY_SECONDS: '0.05', METRICS_ADDR: '127.0.0.1:0' };
    program = await programs.start(settings);
  });
  beforeEach(() => {
    sidecar.calls.length = 0;
    for (const tool of ['rfdiffusion', 'proteinmpnn', 'boltz', 'af2'] as const) sidecar.script(tool, undefined);
  });
  after(async () => {
    await programs.close();
    await sidecar?.close();
    await objectStore?.close();
    await postgres?.close();
  });

  const submit = (steps: Steps, headers: Record<string, string> = {}) =>
    program.client.submitWorkflow({ spec: specOf(steps) }, { headers });

  /** The workflow once it is over. */
  async function finish(workflowId: string) {
    await collect(program.client.streamWorkflowEvents({ workflowId, replay: true }));
    return await program.client.getWorkflow({ workflowId });
  }

  it('passes a backbone on to sequences, and the best of them to structures', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const steps: Steps = [
      ['backbone', 'rfdiffusion', [], { contigs: '70-90', num_designs: 3 }],
      ['sequences', 'proteinmpnn', ['backbone'], { num_sequences: 5 }],
      ['fold', 'af2', ['sequences'], {}],
      ['complex', 'boltz', ['sequences'], {}],
    ];
    const { id } = await submit(steps, { traceparent });
    const { state, stepStatuses } = await finish(id);
    assert.equal(state, JobState.SUCCEEDED, JSON.stringify(stepStatuses.map(({ error }) => error?.message)));
    const [backbone, sequences, fold, complex] = stepStatuses;
    assert.equal(backbone!.outputs.length, 3);
    assert.equal(sequences!.sequences.length, 5);
    assert.ok(fold!.outputs.length > 0 && complex!.outputs.length > 0);
    const asked = (tool: string) => sidecar.calls.find((call) => call.tool === tool)!;
    const best = backbone!.outputs.toSorted((a, b) => b.metrics.plddt! - a.metrics.plddt!)[0]!;
    const request = asked('proteinmpnn').request as { backbonePdb?: { uri: string } };
    assert.equal(request.backbonePdb?.uri, best.uri);
    const lowest = sequences!.sequences.toSorted((a, b) => a.globalScore - b.globalScore)[0]!;
    const residues = lowest.fasta.split('\n').slice(1).join('');
    assert.equal((asked('af2').request as { sequence: string }).sequence, residues);
    assert.equal((asked('boltz').request as { chains: { sequence: string }[] }).chains[0]!.sequence, residues);
    assert.deepEqual(
      sidecar.calls.map(({ headers }) => [headers.get('x-request-id'), headers.get('traceparent')]).toSorted(),
      ['backbone', 'complex', 'fold', 'sequences'].map((step) => [`${id}/${step}#1`, traceparent]),
    );
    const ranked = await program.client.rankDesigns({ workflowId: id, metric: 'plddt' });
    assert.equal(ranked.designs[0]!.metrics.plddt, best.metrics.plddt);
  });

  it('refuses at submission what a tool cannot take, and names it', async () => {
    const refusals: [Steps, RegExp][] = [
      [[['a', 'rfdiffusion', [], { contigs: '70', num_desings: 2 }]], /step "a" \(rfdiffusion\): params\.num_desings/],
      [[['a', 'rfdiffusion', [], { contigs: '70', num_designs: 'two' }]], /params\.num_designs/],
      [[['a', 'rfdiffusion', [], { contigs: '70', mock: { fail: true } }]], /params\.mock .*RUNNER=mock/],
      [[['s', 'proteinmpnn', [], {}]], /step "s" \(proteinmpnn\): .*backbone/],
      [
        [['b', 'boltz', [], { chains: [{ sequence: 'MK' }], ligands: [{ id: 'L', smiles: 'CCO' }] }]],
        /takes no ligands/,
      ],
    ];
    for (const [steps, message] of refusals) {
      const { code, rawMessage } = await refusal(submit(steps));
      assert.equal(code, Code.InvalidArgument);
      assert.match(rawMessage, message);
    }
    assert.deepEqual(sidecar.calls, []);
  });

  it('tries a step again when the connection breaks', async () => {
    sidecar.script('rfdiffusion', async function* run(call) {
      yield { progress: 0.5 };
      if (sidecar.calls.length === 1) call.breakConnection();
      else yield* sidecar.runWell(call);
    });
    const { id } = await submit([['a', 'rfdiffusion', [], { contigs: '70' }]]);
    assert.equal((await finish(id)).state, JobState.SUCCEEDED);
    const ids = sidecar.calls.map(({ headers }) => headers.get('x-request-id'));
    assert.deepEqual(ids, [`${id}/a#1`, `${id}/a#2`]);
  });

  it('fails a step with the words of its sidecar', async () => {
    sidecar.script('rfdiffusion', async function* run() {
      yield { error: { code: 'INVALID_CONTIG', message: 'no such chain', retryable: false } };
    });
    const { id } = await submit([['a', 'rfdiffusion', [], { contigs: 'Z1-9' }]]);
    const { code, message, retryable } = (await finish(id)).stepStatuses[0]!.error!;
    assert.deepEqual([code, message, retryable], ['INVALID_CONTIG', 'no such chain', false]);
    assert.equal(sidecar.calls.length, 1);
  });

  it('stops the work of a workflow that is cancelled', async () => {
    sidecar.script('af2', async function* run({ signal }) {
      yield { progress: 0.1 };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    });
    const { id } = await submit([['a', 'af2', [], { sequence: 'MKTAYIAKQR' }]]);
    await eventually('the call', () => sidecar.calls[0]);
    await program.client.cancelWorkflow({ workflowId: id });
    await eventually('the end of the call', () => sidecar.calls[0]!.signal.aborted, 3_000);
    assert.equal((await finish(id)).state, JobState.CANCELLED);
    assert.equal(sidecar.calls[0]!.resetCode, 8);
  });

  it('stores progress four times a second at the most', async () => {
    sidecar.script('rfdiffusion', async function* run(call) {
      for (let count = 1; count <= 1_000; count++) {
        yield { progress: count / 1_001 };
        if (count % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      }
      yield* sidecar.runWell(call);
    });
    const startedMs = performance.now();
    const { id } = await submit([['a', 'rfdiffusion', [], { contigs: '70' }]]);
    const events = await collect(program.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    const seconds = (performance.now() - startedMs) / 1000;
    const progress = events.filter(({ event: { case: kind, value } }) => {
      return kind === 'stepUpdate' && value.state === JobState.RUNNING && value.fraction > 0;
    });
    assert.ok(progress.length >= 2, 'some progress was stored');
    assert.ok(progress.length <= 4 * seconds + 1, `${progress.length} events in ${seconds} s`);
  });

  it('calls again under the same name after it was killed in the middle of a step', async () => {
    sidecar.script('rfdiffusion', async function* run(call) {
      yield { progress: 0.5 };
      if (sidecar.calls.length > 1) yield* sidecar.runWell(call);
      else await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
    });
    const { id } = await submit([['a', 'rfdiffusion', [], { contigs: '70' }]]);
    await eventually('the call', () => sidecar.calls[0]);
    program.kill('SIGKILL');
    await program.exits();
    program = await programs.start(settings);
    assert.equal((await finish(id)).state, JobState.SUCCEEDED);
    const ids = sidecar.calls.map(({ headers }) => headers.get('x-request-id'));
    assert.deepEqual(ids, [`${id}/a#1`, `${id}/a#1`]);
  });

  it('tells which sidecars answer', async () => {
    const [, port] = await program.prints(/"metrics":"127\.0\.0\.1:(\d+)"/);
    const text = await eventually('all four', async () => {
      const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      return page.match(/^foldforge_sidecar_info\{.*\} 1$/gm)?.length === 4 && page;
    });
    assert.match(text, /foldforge_sidecar_info\{tool="af2",model_version="af2-test"\} 1/);
  });
});
