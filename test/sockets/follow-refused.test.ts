import assert from 'node:assert/strict';
import { it } from 'node:test';
import { GatewayError } from '../../src/gateway/errors.ts';
import { followEvents } from '../../src/gateway/upstream/follow-events.ts';

it('a stream asks an orchestrator that has too much to do ever more rarely', async () => {
  let asked = 0;
  const overloaded = () => {
    asked++;
    throw new GatewayError('OVERLOADED', 'too much to do');
  };
  const orchestrator = { getWorkflow: overloaded, streamWorkflowEvents: overloaded };
  const frames = followEvents(orchestrator as never, {
    workflowId: 'x',
    cursor: undefined,
    metadata: {},
    signal: new AbortController().signal,
    lossMs: 8_000,
    callTimeoutMs: 1_000,
  });
  await assert.rejects(frames.next(), { code: 'UNAVAILABLE' });
  assert.ok(asked <= 9, `asked ${asked} times in eight seconds`);
});
