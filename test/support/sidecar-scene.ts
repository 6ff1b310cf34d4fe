import assert from 'node:assert/strict';
import type { OnProgress, StepFault, StepJob, StepOutput, Tool } from '../../src/orchestrator/runners/runner.ts';
import { createSidecarRunner, type SidecarRunnerOptions } from '../../src/orchestrator/runners/sidecar.ts';
import { createLog } from '../../src/shared/log.ts';
import { startSidecar } from './sidecar.ts';
import { nameArtifact } from './sidecar-results.ts';
import { within } from './waiting.ts';

interface LoggedLine {
  readonly level: string;
  readonly msg: string;
  readonly tool?: Tool;
  readonly [field: string]: unknown;
}

export type SidecarScene = Awaited<ReturnType<typeof startSidecarScene>>;

/** A sidecar and a runner that calls it; for `url` the runner calls that instead. */
export async function startSidecarScene(given: Partial<SidecarRunnerOptions> & { readonly url?: string } = {}) {
  const { url, ...options } = given;
  const sidecar = await startSidecar();
  const files = new Map<string, string>();
  const lines: LoggedLine[] = [];
  const endpoint = url ?? sidecar.url;
  const runner = createSidecarRunner({
    endpoints: { rfdiffusion: endpoint, proteinmpnn: endpoint, boltz: endpoint, af2: endpoint },
    async putArtifact(bytes, ...file) {
      const record = await nameArtifact(bytes, ...file);
      files.set(record.uri, new TextDecoder().decode(bytes));
      return record;
    },
    log: createLog('test', 'debug', { write: (line) => lines.push(JSON.parse(line)) }),
    ...options,
  });

  const run = (job: StepJob, onProgress: OnProgress = () => {}, signal = new AbortController().signal) =>
    within(`the run of ${job.tool}`, runner.run(job, onProgress, signal), 10_000);

  return {
    sidecar,
    runner,
    files,
    lines,
    run,
    /** The output of a run that must succeed. */
    async outputOf(job: StepJob, onProgress?: OnProgress): Promise<StepOutput> {
      const outcome = await run(job, onProgress);
      assert.ok('output' in outcome, `it failed: ${JSON.stringify(outcome)}`);
      return outcome.output;
    },
    /** The fault of a run that must fail. */
    async faultOf(job: StepJob): Promise<StepFault> {
      const outcome = await run(job);
      assert.ok('fault' in outcome, `it succeeded: ${JSON.stringify(outcome)}`);
      return outcome.fault;
    },
    async close(): Promise<void> {
      await within('the runner closes', runner.close());
      await within('the sidecar closes', sidecar.close());
    },
  };
}
