import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { StepStatus, Workflow, WorkflowEvent } from '../../../console/src/api.ts';
import { applyAnswer, applyEvent, type Followed, isOver } from '../../../console/src/workflow/apply-event.ts';
import { exampleStatus, exampleWorkflow } from './example-workflow.ts';

const IDS = ['a', 'b', 'c'];
const START = Date.parse('2026-01-15T09:30:00Z');
const at = (second: number) => new Date(START + second * 1_000).toISOString();
const follow = (workflow: Workflow): Followed => ({ workflow, readAt: START });

function stepEvent(step: StepStatus, second: number): WorkflowEvent {
  return { workflow_id: 'w', step_update: step, at: at(second) };
}

function workflowEvent(workflow: Workflow): WorkflowEvent {
  return { workflow_id: 'w', workflow_update: workflow, ...(workflow.updated_at && { at: workflow.updated_at }) };
}

const statuses = fc.record({
  step_id: fc.constantFrom(...IDS),
  state: fc.constantFrom('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'UNKNOWN'),
  fraction: fc.double({ min: 0, max: 1, noNaN: true }),
  outputs: fc.constant([]),
  sequences: fc.constant([]),
}) as fc.Arbitrary<StepStatus>;

/** What a server may send: each change a second after the one before, and a few of them with the whole workflow. */
const histories = fc
  .array(fc.record({ status: statuses, whole: fc.boolean() }), { minLength: 1, maxLength: 20 })
  .map((changes) => {
    const states: Workflow[] = [exampleWorkflow(IDS)];
    const events = changes.map(({ status, whole }, index): WorkflowEvent => {
      const before = states.at(-1)!;
      const step_statuses = before.step_statuses.map((old) => (old.step_id === status.step_id ? status : old));
      const now = { ...before, step_statuses, updated_at: at(index + 1) };
      states.push(now);
      return whole ? workflowEvent(now) : stepEvent(status, index + 1);
    });
    return { states, events };
  });

describe('applyEvent', () => {
  it('ends up where the server is, from any of its states on', () => {
    fc.assert(
      fc.property(histories, fc.nat(), ({ states, events }, pick) => {
        const from = pick % states.length;
        const end = events
          .slice(from)
          .reduce(applyEvent, { workflow: states[from]!, readAt: Date.parse(states[from]!.updated_at!) });
        assert.deepEqual(end.workflow, states.at(-1));
      }),
    );
  });

  it('takes no notice of events that an answer already knows of', () => {
    fc.assert(
      fc.property(histories, fc.nat(), fc.nat(), ({ states, events }, answered, lag) => {
        const known = answered % states.length;
        const first = lag % (known + 1);
        let followed = applyAnswer(follow(states[first]!), states[known]!);
        for (const [index, event] of events.slice(first).entries()) {
          const later = first + index + 1;
          followed = applyEvent(followed, event);
          assert.deepEqual(followed.workflow, states[Math.max(known, later)]);
        }
      }),
    );
  });

  it('takes an event of the same moment as the answer: one change may bring many events', () => {
    const followed = applyAnswer(undefined, exampleWorkflow(IDS, { updated_at: at(5) }));
    const next = applyEvent(followed, stepEvent(exampleStatus('a', { state: 'RUNNING' }), 5));
    assert.equal(next.workflow.step_statuses[0]?.state, 'RUNNING');
  });

  it('changes nothing that it was given', () => {
    fc.assert(
      fc.property(histories, ({ events }) => {
        const workflow = exampleWorkflow(IDS);
        const copy = structuredClone(workflow);
        events.reduce(applyEvent, follow(workflow));
        assert.deepEqual(workflow, copy);
      }),
    );
  });

  it('follows a step through a failure and another attempt', () => {
    const error = { code: 'OOM', message: 'out of memory', retryable: true };
    const failed = applyEvent(
      follow(exampleWorkflow(IDS)),
      stepEvent(exampleStatus('a', { state: 'FAILED', error }), 1),
    );
    assert.deepEqual(failed.workflow.step_statuses[0]?.error, error);
    const again = applyEvent(failed, stepEvent(exampleStatus('a'), 2));
    assert.equal(again.workflow.step_statuses[0]?.state, 'QUEUED');
    assert.equal(again.workflow.step_statuses[0]?.error, undefined);
    assert.deepEqual(
      again.workflow.step_statuses.map(({ step_id }) => step_id),
      IDS,
    );
  });

  it('keeps the status of a step that it has not heard of', () => {
    const { workflow } = applyEvent(follow(exampleWorkflow(['a'])), stepEvent(exampleStatus('new'), 1));
    assert.deepEqual(
      workflow.step_statuses.map(({ step_id }) => step_id),
      ['a', 'new'],
    );
  });

  it('ignores an event that says nothing', () => {
    const followed = follow(exampleWorkflow(IDS));
    assert.equal(applyEvent(followed, { workflow_id: 'w', at: at(1) }), followed);
  });
});

describe('applyAnswer', () => {
  it('takes the first answer, and none that is older than what is known', () => {
    const first = applyAnswer(undefined, exampleWorkflow(IDS, { updated_at: at(5) }));
    const older = applyAnswer(first, exampleWorkflow(IDS, { updated_at: at(4), state: 'RUNNING' }));
    assert.equal(older, first);
    const newer = applyAnswer(first, exampleWorkflow(IDS, { updated_at: at(6), state: 'CANCELLED' }));
    assert.equal(newer.workflow.state, 'CANCELLED');
    assert.equal(newer.readAt, START + 6_000);
  });

  it('takes answers of an orchestrator that gives no times', () => {
    const { updated_at: _, ...timeless } = exampleWorkflow(IDS);
    const first = applyAnswer(undefined, timeless);
    const next = applyEvent(applyAnswer(first, { ...timeless, state: 'RUNNING' }), {
      workflow_id: 'w',
      step_update: exampleStatus('a', { state: 'RUNNING' }),
    });
    assert.equal(next.workflow.state, 'RUNNING');
    assert.equal(next.workflow.step_statuses[0]?.state, 'RUNNING');
  });
});

describe('isOver', () => {
  it('is for the states that last', () => {
    const over = (['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'UNKNOWN'] as const).filter((state) =>
      isOver({ state }),
    );
    assert.deepEqual(over, ['SUCCEEDED', 'FAILED', 'CANCELLED']);
  });
});
