import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fromJson } from '@bufbuild/protobuf';
import { type WorkflowSpec, WorkflowSpecSchema } from '../../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { checkSpec } from '../../../src/orchestrator/engine/graph.ts';
import type { StepOutput, Tool } from '../../../src/orchestrator/runners/runner.ts';
import { createBench, ignoreProgress, jobOf } from './memory-runner.ts';

const FOLDER = new URL('../../../examples/workflows/', import.meta.url);
const never = new AbortController().signal;

async function readExample(name: string): Promise<WorkflowSpec> {
  return fromJson(WorkflowSpecSchema, JSON.parse(await readFile(new URL(name, FOLDER), 'utf8')));
}

/** Runs the steps in the order of the file, which the examples keep to. Answers with each step's output. */
async function runAll(spec: WorkflowSpec, attempt: number): Promise<Map<string, StepOutput | string>> {
  const { runner } = createBench();
  const results = new Map<string, StepOutput | string>();
  for (const step of spec.steps) {
    const inputs: Record<string, StepOutput> = {};
    for (const id of step.dependsOn) {
      const output = results.get(id);
      assert.ok(typeof output === 'object', `${step.id} comes before ${id}`);
      inputs[id] = output;
    }
    const job = jobOf(step.tool as Tool, { stepId: step.id, attempt, params: step.params ?? {}, inputs });
    const outcome = await runner.run(job, ignoreProgress, never);
    if ('fault' in outcome) return results.set(step.id, outcome.fault.code);
    results.set(step.id, outcome.output);
  }
  return results;
}

describe('the example workflows', async () => {
  for (const name of await readdir(FOLDER)) {
    it(`${name} can be run`, async () => {
      const spec = await readExample(name);
      checkSpec(spec);
      const results = await runAll(spec, 2);
      assert.deepEqual(
        [...results.keys()],
        spec.steps.map(({ id }) => id),
      );
      for (const output of results.values()) assert.ok(typeof output === 'object' && output.artifacts.length > 0);
    });
  }

  it('flaky.json fails at its second step, on the first attempt only', async () => {
    const results = await runAll(await readExample('flaky.json'), 1);
    assert.equal(results.get('sequences'), 'OOM');
    assert.equal(results.size, 2);
  });
});
