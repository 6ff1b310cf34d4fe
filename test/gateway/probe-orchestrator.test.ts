import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { queryObjects } from 'node:v8';
import { Code, ConnectError } from '@connectrpc/connect';
import { checkEach } from '../../src/gateway/upstream/check-each.ts';
import { fromGrpc } from '../../src/gateway/upstream/grpc-errors.ts';
import { createOrchestratorProbe } from '../../src/gateway/upstream/probe-orchestrator.ts';
import { HealthCheckResponse_ServingStatus as ServingStatus } from '../../src/gen/grpc/health/v1/health_pb.ts';

describe('the probe of an orchestrator', () => {
  it('asks the health service again that was missing once', async () => {
    const { signal } = new AbortController();
    let code: Code | undefined = Code.Unimplemented;
    const checkHealth = async () => {
      if (code !== undefined) throw fromGrpc(new ConnectError('no', code), signal);
      return { status: ServingStatus.NOT_SERVING };
    };
    const probe = createOrchestratorProbe({ checkHealth, listWorkflows: async () => ({}) } as never, 1_000);
    await probe.ask(signal);
    code = undefined;
    await assert.rejects(probe.ask(signal), /NOT_SERVING/);
    assert.equal(probe.restPeriods(), 1);
  });

  it('leaves no signal behind, however often it asks', async () => {
    const { signal } = new AbortController();
    // As the orchestrator's client does it.
    const checkHealth = (_request: unknown, call: { signal: AbortSignal }) =>
      checkEach([], {}, { signal: call.signal }).catch(() => ({ status: ServingStatus.SERVING }));
    const probe = createOrchestratorProbe({ checkHealth } as never, 5);
    const settle = () => new Promise((resolve) => setTimeout(resolve, 50));
    const ask = async (count: number) => {
      for (let asked = 0; asked < count; asked++) await probe.ask(signal);
      await settle();
      return queryObjects(AbortSignal, { format: 'count' }) as unknown as number;
    };
    const before = await ask(100);
    const after = await ask(1_000);
    assert.ok(after - before < 100, `${after - before} signals of 1000 questions are kept`);
  });
});
