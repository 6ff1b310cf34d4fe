import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { collect, eventually, refusal, specOf, stateIn } from '../orchestrator/harness.ts';
import { createPrograms, settingsFor } from '../orchestrator/program.ts';
import { startTestObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { within } from '../support/waiting.ts';

describe('an orchestrator that is ended', { concurrency: true }, () => {
  let postgres: TestPostgres;
  let objectStore: TestObjectStore;
  const databaseUrls: string[] = [];
  const programs = createPrograms();

  before(async () => {
    [postgres, objectStore] = await Promise.all([startTestPostgres(), startTestObjectStore()]);
    while (databaseUrls.length < 2) databaseUrls.push(await postgres.createMigratedDatabase());
  });
  after(async () => {
    await programs.close();
    await objectStore?.close();
    await postgres?.close();
  });

  const newSettings = () => settingsFor(databaseUrls.pop()!, objectStore);

  it('goes on after kill -9, again and again, without a gap or a repeat', async () => {
    // Long enough to be seen half-way on a slow machine.
    const settings = { ...newSettings(), MOCK_STEP_SECONDS: '0.8' };
    let program = await programs.start(settings);
    const graph = { a: [], b: ['a'], c: ['a'], d: ['b', 'c'] };
    const { id } = await program.client.submitWorkflow({ spec: specOf(graph) });
    for (const stepId of ['a', 'd']) {
      await eventually(`${stepId} runs`, async () => {
        const { stepStatuses } = await program.client.getWorkflow({ workflowId: id });
        const step = stepStatuses.find((status) => status.stepId === stepId);
        return step?.state === JobState.RUNNING && step.fraction > 0;
      });
      program.kill('SIGKILL');
      await program.exits();
      program = await programs.start(settings);
    }
    const events = await collect(program.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    assert.deepEqual(
      events.map(({ eventId }) => Number(eventId)),
      events.map((_, index) => index + 1),
    );
    assert.equal(stateIn(events.at(-1)), JobState.SUCCEEDED);
    for (const stepId of Object.keys(graph)) {
      const own = events.flatMap(({ event }) =>
        event.case === 'stepUpdate' && event.value.stepId === stepId ? [event.value] : [],
      );
      assert.equal(own.filter(({ state }) => state === JobState.SUCCEEDED).length, 1, `${stepId} ended once`);
      const fractions = own.map(({ fraction }) => fraction);
      assert.deepEqual(fractions, fractions.toSorted(), `the progress of ${stepId} never goes back`);
    }
    const done = await program.client.getWorkflow({ workflowId: id });
    assert.ok(done.stepStatuses.every(({ outputs }) => outputs.length > 0));
  });

  it('stops on SIGTERM within seconds, and goes on at the next start', async () => {
    const settings = { ...newSettings(), MOCK_STEP_SECONDS: '0.8' };
    const first = await programs.start(settings);
    const { id } = await first.client.submitWorkflow({ spec: specOf({ a: [] }) });
    const reading = refusal(collect(first.client.streamWorkflowEvents({ workflowId: id, replay: true })));
    await eventually('a runs', async () => {
      const { stepStatuses } = await first.client.getWorkflow({ workflowId: id });
      return stepStatuses[0]?.state === JobState.RUNNING;
    });
    const signalledMs = performance.now();
    first.kill('SIGTERM');
    assert.equal((await within('the end of the stream', reading)).code, Code.Unavailable);
    assert.deepEqual([await first.exits(), first.stderr()], [0, '']);
    assert.ok(performance.now() - signalledMs < 5_000);
    const second = await programs.start(settings);
    const events = await collect(second.client.streamWorkflowEvents({ workflowId: id, replay: true }));
    assert.equal(stateIn(events.at(-1)), JobState.SUCCEEDED);
  });
});
