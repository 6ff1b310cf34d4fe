import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startPresence } from '../../src/orchestrator/engine/presence.ts';
import { createStepRuns } from '../../src/orchestrator/engine/step-runs.ts';
import { createMetrics } from '../../src/orchestrator/metrics.ts';
import type { Runner } from '../../src/orchestrator/runners/runner.ts';
import type { Database } from '../../src/orchestrator/store/database.ts';
import { createLog } from '../../src/shared/log.ts';
import { within } from '../support/waiting.ts';
import { nothing } from './harness.ts';

it('a run that begins before the answer to the release of its entry comes is none of those that are abandoned', async () => {
  const log = createLog('test', 'silent');
  const metrics = createMetrics();
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
  const runner: Pick<Runner, 'run' | 'close' | 'findFault'> = {
    findFault: () => undefined,
    close: async () => {},
    async run(_job, _onProgress, signal) {
      const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      await Promise.race([finished, aborted]);
      return nothing;
    },
  };
  const resources = { gpuType: '', gpuCount: 0, cpuCores: 0, memoryMb: 0, timeoutSeconds: 0 };
  const steps = {
    start: async (ref: { workflowId: string; stepId: string; attempt: number }) => {
      const requestId = `${ref.workflowId}/${ref.stepId}#${ref.attempt}`;
      const job = {
        ...ref,
        requestId,
        tool: 'af2' as const,
        params: {},
        resources,
        traceparent: undefined,
        inputs: {},
      };
      return { job, fraction: 0 };
    },
    progress: async () => true,
    finish: async () => {},
  };
  const runs = createStepRuns({ steps, runner, metrics, log });
  // The same step, as happens when this executor takes its own entry once more.
  const run = () => runs.run({ workflowId: 'w', stepId: 's', attempt: 1 }, new AbortController().signal);
  const before = run();
  let later: ReturnType<typeof run> | undefined;

  const { promise: listed, resolve: list } = Promise.withResolvers<void>();
  let enrolments = 0;
  const pool = {
    async query(statement: string | { text: string }) {
      const text = typeof statement === 'string' ? statement : statement.text;
      if (text.startsWith('update executors')) return { rowCount: enrolments > 1 ? 1 : 0, rows: [] };
      if (text.startsWith('update dbos.workflow_status') && !later) {
        later = run();
        await new Promise(setImmediate);
      }
      if (text.startsWith('insert into executors') && ++enrolments > 1) list();
      return { rowCount: 0, rows: [] };
    },
  };
  const database = { pool } as unknown as Database;
  const presence = await startPresence({ database, executorId: 'e', seizeRuns: runs.seize, metrics, log });
  await within('it is listed again', listed, 5_000);
  await presence.close();
  assert.equal(await within('the end of the first', before, 5_000), null);
  finish();
  assert.deepEqual(await within('the end of the second', later!, 5_000), nothing);
});
