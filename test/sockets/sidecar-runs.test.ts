import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants } from 'node:http2';
import { after, describe, it } from 'node:test';
import { TOOLS, type Tool } from '../../src/orchestrator/runners/runner.ts';
import { silence } from '../support/sidecar.ts';
import { sidecarJob, structureOutput } from '../support/sidecar-jobs.ts';
import type { Results } from '../support/sidecar-results.ts';
import { startSidecarScene } from '../support/sidecar-scene.ts';
import { within } from '../support/waiting.ts';

const scene = await startSidecarScene();
const { sidecar, outputOf } = scene;
after(() => scene.close());

const backbone = structureOutput('backbone', { plddt: 80 });

describe('the sidecar runner', () => {
  it('runs a design from backbone to structure, each step from what the best one before it made', async () => {
    const rfdiffusion = await outputOf(sidecarJob('rfdiffusion', { params: { contigs: '70-90', num_designs: 3 } }));
    assert.equal(rfdiffusion.artifacts.length, 3);
    const bestBackbone = rfdiffusion.artifacts.reduce((a, b) => (b.metrics.plddt! > a.metrics.plddt! ? b : a));

    const proteinmpnn = await outputOf(
      sidecarJob('proteinmpnn', { params: { num_sequences: 5 }, inputs: { rfdiffusion } }),
    );
    const designed = sidecar.calls.at(-1)!.request as { backbonePdb?: { uri: string } };
    assert.equal(designed.backbonePdb?.uri, bestBackbone.uri);
    assert.equal(proteinmpnn.sequences.length, 5);
    const best = proteinmpnn.sequences.reduce((a, b) => (b.globalScore < a.globalScore ? b : a));
    const residues = best.fasta.split('\n')[1]!;

    const inputs = { rfdiffusion, proteinmpnn };
    const boltz = await outputOf(sidecarJob('boltz', { inputs }));
    const { chains } = sidecar.calls.at(-1)!.request as { chains: { id: string; sequence: string }[] };
    assert.deepEqual(
      chains.map(({ id, sequence }) => [id, sequence]),
      [['A', residues]],
    );
    const af2 = await outputOf(sidecarJob('af2', { params: { num_models: 2 }, inputs }));
    assert.equal((sidecar.calls.at(-1)!.request as { sequence: string }).sequence, residues);

    const types = [rfdiffusion, proteinmpnn, boltz, af2].map(({ artifacts }) => artifacts.map((a) => a.contentType));
    assert.deepEqual(types, [
      ['chemical/x-pdb', 'chemical/x-pdb', 'chemical/x-pdb'],
      ['text/x-fasta'],
      ['chemical/x-mmcif', 'application/json'],
      ['chemical/x-pdb', 'application/json', 'chemical/x-pdb', 'application/json', 'text/x-a3m'],
    ]);
    assert.equal(scene.files.get(proteinmpnn.artifacts[0]!.uri), proteinmpnn.sequences.map((s) => s.fasta).join(''));
  });

  it('starts rfdiffusion from the best structure of the earlier steps', async () => {
    await outputOf(sidecarJob('rfdiffusion', { inputs: { a: structureOutput('a', { plddt: 3 }), b: backbone } }));
    const { inputPdbRef } = sidecar.calls.at(-1)!.request as { inputPdbRef?: { uri: string } };
    assert.equal(inputPdbRef?.uri, backbone.artifacts[0]!.uri);
  });

  it('sends the request id, the trace, the resources and the deadline', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const resources = { gpuType: 'A100', gpuCount: 2, cpuCores: 8, memoryMb: 64_000, timeoutSeconds: 3600 };
    await outputOf(sidecarJob('af2', { params: { sequence: 'mkt ay' }, resources, traceparent, attempt: 7 }));
    const { request, headers, timeoutMs } = sidecar.calls.at(-1)!;
    const { resources: told, sequence } = request as { resources?: Record<string, unknown>; sequence: string };
    const { $typeName: _, ...sent } = told!;
    assert.deepEqual(sent, resources);
    assert.equal(sequence, 'MKTAY');
    assert.equal(headers.get('x-request-id'), 'workflow/step#7');
    assert.equal(headers.get('traceparent'), traceparent);
    assert.ok(timeoutMs! > 3_500_000 && timeoutMs! <= 3_600_000, `${timeoutMs}`);
  });

  it('sends neither a deadline nor a trace that there is not', async () => {
    await outputOf(sidecarJob('af2', { params: { sequence: 'MKTAY' }, traceparent: 'not one' }));
    assert.equal(sidecar.calls.at(-1)!.timeoutMs, undefined);
    assert.equal(sidecar.calls.at(-1)!.headers.has('traceparent'), false);
  });

  it('passes progress on, between 0 and 1', async () => {
    sidecar.script('af2', async function* (call) {
      yield { progress: -3, message: 'early' };
      yield { progress: Number.NaN, message: 'lost' };
      yield 'nothing';
      yield { progress: 0.25, message: 'quarter' };
      yield { progress: Number.POSITIVE_INFINITY, message: 'late' };
      yield* sidecar.runWell(call);
    });
    const told: [number, string][] = [];
    await outputOf(sidecarJob('af2', { params: { sequence: 'MKTAY' } }), ({ fraction, message }) => {
      told.push([fraction, message]);
    });
    sidecar.script('af2', undefined);
    assert.deepEqual(told.slice(0, 3), [
      [0, 'early'],
      [0.25, 'quarter'],
      [1, 'late'],
    ]);
    assert.equal(told.length, 7);
  });

  it('throws what the engine throws at progress', async () => {
    const broken = new TypeError('not a function');
    const run = scene.run(sidecarJob('rfdiffusion'), () => {
      throw broken;
    });
    await assert.rejects(run, (error) => error === broken);
  });

  it('keeps up with a flood of progress', async () => {
    sidecar.script('proteinmpnn', async function* (call) {
      for (let count = 0; count < 10_000; count++) yield { progress: count / 10_000, message: `${count}` };
      yield* sidecar.runWell(call);
    });
    let count = 0;
    await outputOf(sidecarJob('proteinmpnn', { inputs: { backbone } }), () => count++);
    sidecar.script('proteinmpnn', undefined);
    assert.equal(count, 10_004);
  });

  it('takes results of many designs', async () => {
    const params = { contigs: '100', num_designs: 5_000 };
    const { artifacts } = await outputOf(sidecarJob('rfdiffusion', { params }));
    assert.equal(artifacts.length, 5_000);
  });

  it('takes the first of two results, and lets neither a status nor silence after it spoil it', async () => {
    const resultOf = (plddt: number): { result: Results['rfdiffusion'] } => ({
      result: { designs: [{ backbonePdb: { uri: 'r2://b/k' }, plddt, designIndex: 0 }] },
    });
    const endings = [
      async function* () {
        yield resultOf(1);
        yield resultOf(2);
      },
      async function* () {
        yield resultOf(1);
        yield { error: { code: 'OOM' } };
      },
      async function* () {
        yield resultOf(1);
        throw new Error('after the result');
      },
    ];
    for (const ending of endings) {
      sidecar.script('rfdiffusion', ending);
      const { artifacts } = await outputOf(sidecarJob('rfdiffusion'));
      assert.deepEqual(
        artifacts.map(({ metrics }) => metrics),
        [{ plddt: 1, design_index: 0 }],
      );
    }
    sidecar.script('rfdiffusion', async function* (call) {
      yield resultOf(1);
      yield* silence(call);
    });
    await outputOf(sidecarJob('rfdiffusion'));
    const { resetCode, signal } = sidecar.calls.at(-1)!;
    if (!signal.aborted) await within('it is told', once(signal, 'abort'));
    assert.ok(resetCode === undefined || resetCode === constants.NGHTTP2_CANCEL, `${resetCode}`);
    sidecar.script('rfdiffusion', undefined);
  });

  it('does not cancel a run that ended well', async () => {
    await outputOf(sidecarJob('rfdiffusion'));
    assert.equal(sidecar.calls.at(-1)!.resetCode, 0);
  });

  it('runs many steps at once on one connection for each tool', async () => {
    const jobs = Array.from({ length: 150 }, (_, index) => {
      const tool: Tool = TOOLS[index % TOOLS.length]!;
      const params = tool === 'rfdiffusion' ? { contigs: `${index + 1}` } : {};
      const inputs = { backbone, sequences: { artifacts: [], sequences: [sequence] } };
      return sidecarJob(tool, { stepId: `${index}`, params, inputs });
    });
    const outputs = await Promise.all(jobs.map((job) => outputOf(job)));
    assert.ok(outputs.every(({ artifacts }) => artifacts.length > 0));
    assert.equal(sidecar.openConnections(), 4);
  });
});

const sequence = { fasta: '>a\nMKTAYIAKQR\n', globalScore: 1, seqRecovery: 0.5, sampleIndex: 1 };
