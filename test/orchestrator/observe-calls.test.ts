import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Code, createClient, createRouterTransport } from '@connectrpc/connect';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { SpecError } from '../../src/orchestrator/engine/graph.ts';
import { workflowNotFound } from '../../src/orchestrator/errors.ts';
import { createCallObserver } from '../../src/orchestrator/observe-calls.ts';
import { createLog } from '../../src/shared/log.ts';
import { collect, refusal } from './harness.ts';

/** A service all of whose calls throw `thrown`, and what it logs. */
function serviceThatThrows(thrown: unknown) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog('test', 'debug', { write: (line: string) => lines.push(JSON.parse(line)) });
  const transport = createRouterTransport(
    (router) =>
      router.service(OrchestratorService, {
        getWorkflow() {
          throw thrown;
        },
        // biome-ignore lint/correctness/useYield: it fails before its first message.
        async *streamWorkflowEvents() {
          throw thrown;
        },
        getBalance: () => ({ balance: 1n }),
      }),
    { router: { interceptors: [createCallObserver(log)] } },
  );
  return { client: createClient(OrchestratorService, transport), lines };
}

const databaseError = (code: string) => Object.assign(new Error('syntax error at or near "select"'), { code });

describe('the observer of calls', () => {
  it('logs each call with the request id that it came with', async () => {
    const { client, lines } = serviceThatThrows(workflowNotFound());
    const headers = { 'x-request-id': 'req-1' };
    await client.getBalance({}, { headers });
    await refusal(client.getWorkflow({}, { headers }));
    assert.deepEqual(
      lines.map(({ method, request_id, code }) => [method, request_id, code]),
      [
        ['GetBalance', 'req-1', undefined],
        ['GetWorkflow', 'req-1', 'NotFound'],
      ],
    );
  });

  const cases: [string, unknown, Code, string, string][] = [
    ['a refusal', workflowNotFound(), Code.NotFound, 'workflow not found', 'debug'],
    ['a bad spec', new SpecError('step "a" is bad'), Code.InvalidArgument, 'step "a" is bad', 'debug'],
    ['a lost database', databaseError('ECONNREFUSED'), Code.Unavailable, 'the database does not answer', 'warn'],
    ['a timeout of the database', databaseError('57014'), Code.Unavailable, 'the database does not answer', 'warn'],
    ['a fault in SQL', databaseError('42601'), Code.Internal, 'internal error', 'error'],
    ['anything else', new TypeError('x is not a function'), Code.Internal, 'internal error', 'error'],
    ['something that is no error', 'oops', Code.Internal, 'internal error', 'error'],
  ];
  for (const [what, thrown, code, message, level] of cases) {
    it(`answers ${what} with ${Code[code]}, in a stream too, and keeps the cause to itself`, async () => {
      const { client, lines } = serviceThatThrows(thrown);
      for (const start of [() => client.getWorkflow({}), () => collect(client.streamWorkflowEvents({}))]) {
        const call = start();
        const error = await refusal(call);
        assert.deepEqual([error.code, error.rawMessage], [code, message]);
      }
      assert.deepEqual(
        lines.map((line) => line.level),
        [level, level],
      );
      const logged = JSON.stringify(lines);
      if (code === Code.Internal)
        assert.ok(logged.includes(thrown instanceof Error ? thrown.message.slice(0, 6) : 'oops'));
    });
  }
});
