import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { PutArtifact } from '../../../src/orchestrator/runners/artifact-writer.ts';
import { createMockRunner } from '../../../src/orchestrator/runners/mock.ts';
import type { OnProgress, Runner, StepJob, StepOutput, Tool } from '../../../src/orchestrator/runners/runner.ts';

/** A mock runner that keeps the files in memory. */
export interface Bench {
  readonly runner: Runner;
  /** By uri. */
  readonly files: ReadonlyMap<string, string>;
  /** Runs one step that must succeed. */
  readonly make: (
    tool: Tool,
    params?: StepJob['params'],
    inputs?: StepJob['inputs'],
    onProgress?: OnProgress,
  ) => Promise<StepOutput>;
}

export const ignoreProgress: OnProgress = () => {};

export function createBench(stepSeconds = 0): Bench {
  const files = new Map<string, string>();
  const putArtifact: PutArtifact = async (bytes, contentType, extension, metrics) => {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const uri = `r2://test/artifacts/${sha256}.${extension}`;
    files.set(uri, new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return { uri, contentType, sizeBytes: bytes.byteLength, sha256, metrics };
  };
  const runner = createMockRunner({ stepSeconds, putArtifact });
  const make: Bench['make'] = async (tool, params = {}, inputs = {}, onProgress = ignoreProgress) => {
    const outcome = await runner.run(jobOf(tool, { params, inputs }), onProgress, new AbortController().signal);
    assert.ok('output' in outcome, `${tool} failed: ${JSON.stringify(outcome)}`);
    return outcome.output;
  };
  return { runner, files, make };
}

export function jobOf(tool: Tool, job: Partial<StepJob> = {}): StepJob {
  const { workflowId = 'workflow', stepId = 'step', attempt = 1 } = job;
  const requestId = `${workflowId}/${stepId}#${attempt}`;
  const resources = { gpuType: '', gpuCount: 0, cpuCores: 0, memoryMb: 0, timeoutSeconds: 0 };
  const plan = { params: {}, resources, traceparent: undefined, inputs: {} };
  return { requestId, workflowId, stepId, attempt, tool, ...plan, ...job };
}
