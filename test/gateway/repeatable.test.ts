import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isRepeatable } from '../../src/gateway/upstream/repeatable.ts';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';

/** Of every call of the contract, when it may be made again after its answer was lost. */
const EXPECTED: Readonly<Record<string, 'always' | 'with a key' | 'never'>> = {
  SubmitWorkflow: 'with a key',
  AcceptWorkflow: 'with a key',
  GrantCredits: 'with a key',
  GetWorkflow: 'always',
  ListWorkflows: 'always',
  StreamWorkflowEvents: 'always',
  RankDesigns: 'always',
  AuthenticateApiKey: 'always',
  GetBalance: 'always',
  ListLedger: 'always',
  CancelWorkflow: 'never',
  RetryWorkflow: 'never',
  ConsumeQuota: 'never',
};

describe('a call whose answer was lost', () => {
  it('is made again only when it changes nothing, or has an idempotency key', () => {
    const found = OrchestratorService.methods.map((method) => {
      const [bare, keyed] = [{}, { idempotencyKey: 'k' }].map((input) => isRepeatable(method, input));
      return [method.name, bare ? 'always' : keyed ? 'with a key' : 'never'];
    });
    assert.deepEqual(Object.fromEntries(found), EXPECTED);
    for (const method of OrchestratorService.methods) {
      assert.equal(isRepeatable(method, { idempotencyKey: '' }), EXPECTED[method.name] === 'always', method.name);
    }
  });
});
