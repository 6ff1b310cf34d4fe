import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import { TOOLS, type Tool } from '../../src/orchestrator/runners/runner.ts';
import type { SidecarCapabilities } from '../../src/orchestrator/runners/sidecar/tool.ts';
import type { SidecarTiming } from '../../src/orchestrator/runners/sidecar.ts';
import { startSidecar } from '../support/sidecar.ts';
import { NO_RESOURCES, plannedStep, sequencesOutput, sidecarJob } from '../support/sidecar-jobs.ts';
import { type SidecarScene, startSidecarScene } from '../support/sidecar-scene.ts';
import { until } from '../support/waiting.ts';

const QUICK: Partial<SidecarTiming> = { answerMs: 5_000, retryMs: 20, refreshMs: 20, suspectMs: 10 };
const LAZY: Partial<SidecarTiming> = { answerMs: 5_000, retryMs: 60_000, refreshMs: 60_000, suspectMs: 10 };

let scene: SidecarScene;
afterEach(() => scene.close());

async function startKnowing(timing: Partial<SidecarTiming>): Promise<[Tool, SidecarCapabilities | undefined][]> {
  const told: [Tool, SidecarCapabilities | undefined][] = [];
  scene = await startSidecarScene({ timing, onCapabilities: (...news) => told.push(news) });
  return told;
}

async function startWith(limits: Partial<Record<Tool, Record<string, unknown> | Code>>): Promise<void> {
  await startKnowing(QUICK);
  for (const [tool, answer] of Object.entries(limits)) scene.sidecar.setCapabilities(tool as Tool, answer);
  const isTold = (tool: Tool) => scene.runner.capabilities().get(tool)?.modelVersion === 'limited';
  await until('the limits are known', () => Object.keys(limits).every((tool) => isTold(tool as Tool)));
}

const linesOf = (message: string) => scene.lines.filter(({ msg }) => msg === message);

describe('the capabilities of the sidecars', () => {
  it('are asked for at the start, logged once and told', async () => {
    const told = await startKnowing(LAZY);
    await until('all are known', () => scene.runner.capabilities().size === TOOLS.length);
    assert.deepEqual(told.map(([tool]) => tool).sort(), [...TOOLS].sort());
    assert.equal(scene.runner.capabilities().get('af2')?.modelVersion, 'af2-test');
    const logged = linesOf('sidecar answers').map(({ tool, model_version }) => [tool, model_version]);
    assert.deepEqual(logged.sort(), TOOLS.map((tool) => [tool, `${tool}-test`]).sort());
  });

  it('are asked for again, and told again only when they are others', async () => {
    const told = await startKnowing(QUICK);
    await until('they were asked for three times', () => scene.sidecar.asked.length >= 3 * TOOLS.length);
    assert.equal(told.length, TOOLS.length);
    scene.sidecar.setCapabilities('boltz', { modelVersion: 'boltz-test', supportsLigands: true });
    await until('the new ones are told', () => told.length > TOOLS.length);
    assert.deepEqual(told.at(-1)?.[1]?.limits, { supportsLigands: true, supportsNucleicAcids: false });
    assert.equal(linesOf('sidecar answers').length, TOOLS.length + 1);
  });

  it('are nothing for a sidecar that has no such call, which answers none the less', async () => {
    await startKnowing(QUICK);
    scene.sidecar.setCapabilities('af2', Code.Unimplemented);
    await until('it is known', () => scene.runner.capabilities().get('af2')?.modelVersion === '');
    assert.deepEqual(linesOf('sidecar does not answer'), []);
    const params = { sequence: 'MK:AY', use_templates: true };
    assert.equal(scene.runner.findFault(plannedStep('af2', { params })), undefined);
  });

  it('are forgotten, with one warning, when it does not answer any more, and known when it does', async () => {
    const told = await startKnowing(QUICK);
    await until('all are known', () => told.length === TOOLS.length);
    scene.sidecar.setCapabilities('af2', Code.Unavailable);
    await until('it is gone', () => !scene.runner.capabilities().has('af2'));
    assert.deepEqual(told.at(-1), ['af2', undefined]);
    const asked = scene.sidecar.asked.filter((tool) => tool === 'af2').length;
    await until('it was asked again', () => scene.sidecar.asked.filter((tool) => tool === 'af2').length > asked + 1);
    assert.equal(linesOf('sidecar does not answer').length, 1);
    scene.sidecar.setCapabilities('af2', { modelVersion: 'back' });
    await until('it is back', () => scene.runner.capabilities().get('af2')?.modelVersion === 'back');
  });

  it('are not awaited for ever', async () => {
    await startKnowing({ ...QUICK, answerMs: 100 });
    scene.sidecar.setCapabilities('af2', 'silent');
    await until('it is given up', () => linesOf('sidecar does not answer').some(({ tool }) => tool === 'af2'));
    assert.ok(!scene.runner.capabilities().has('af2'));
  });

  it('are asked for anew when a run could not reach the sidecar', async (test) => {
    const told = await startKnowing(LAZY);
    await until('all are known', () => told.length === TOOLS.length);
    const { port } = scene.sidecar;
    await scene.sidecar.close();
    await scene.faultOf(sidecarJob('rfdiffusion'));
    await until('it is gone', () => !scene.runner.capabilities().has('rfdiffusion'));
    assert.equal(scene.runner.capabilities().size, TOOLS.length - 1);
    const again = await startSidecar({ port });
    test.after(() => again.close());
    await scene.outputOf(sidecarJob('rfdiffusion'));
  });

  it('hold back what the sidecar cannot do, at submission and before the run', async () => {
    await startWith({
      rfdiffusion: { modelVersion: 'limited', maxNumDesigns: 4, supportedGpuTypes: ['A100', 'L4'] },
      proteinmpnn: { modelVersion: 'limited' },
      boltz: { modelVersion: 'limited' },
      af2: { modelVersion: 'limited' },
    });
    const ligands = [{ id: 'L', ccd: 'ATP' }];
    const protein = { id: 'A', sequence: 'MK' };
    const a100 = { ...NO_RESOURCES, gpuType: 'a100' };
    const h100 = { ...NO_RESOURCES, gpuType: 'H100' };
    const backbone_pdb = { uri: 'r2://b/k' };
    const refused: [Tool, Parameters<typeof plannedStep>[1], RegExp][] = [
      ['rfdiffusion', { params: { contigs: '9', num_designs: 5 } }, /num_designs is 5, but .* at most 4$/],
      ['rfdiffusion', { params: { contigs: '9' }, resources: h100 }, /gpu_type is "H100", but .* has: A100, L4$/],
      ['proteinmpnn', { params: { backbone_pdb, use_soluble_model: true } }, /use_soluble_model is true, but/],
      ['boltz', { params: { chains: [protein], ligands } }, /ligands is given, but/],
      ['boltz', { params: { chains: [{ ...protein, entity_type: 'DNA' }] } }, /chains\[0\] is no protein, but/],
      ['af2', { params: { sequence: 'MK', use_templates: true } }, /use_templates is true, but/],
      ['af2', { params: { sequence: 'MK:AY' } }, /params\.sequence has several chains, but/],
    ];
    for (const [tool, planned, message] of refused) {
      assert.match(scene.runner.findFault(plannedStep(tool, planned)) ?? '', message);
      const { code, message: told, retryable } = await scene.faultOf(sidecarJob(tool, planned));
      assert.deepEqual([code, retryable], ['INVALID_ARGUMENT', false]);
      assert.match(told, message);
    }
    const multimer = sidecarJob('af2', { inputs: { a: sequencesOutput(['MK/AY', 1]) } });
    assert.match((await scene.faultOf(multimer)).message, /^the designed sequence has several chains, but/);
    assert.deepEqual(scene.sidecar.calls, []);
    const params = { contigs: '9', num_designs: 4 };
    assert.equal(scene.runner.findFault(plannedStep('rfdiffusion', { params, resources: a100 })), undefined);
  });

  it('do not keep the process or the runner from ending', async () => {
    await startKnowing(QUICK);
    for (const tool of TOOLS) scene.sidecar.setCapabilities(tool, 'silent');
    await scene.runner.close();
    await until('the connections are closed', () => scene.sidecar.openConnections() === 0);
    const asked = scene.sidecar.asked.length;
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(scene.sidecar.asked.length, asked);
  });
});
