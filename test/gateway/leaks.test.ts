import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Code } from '@connectrpc/connect';
import { as, isPublic, listScenarios, OPERATION_IDS, SCENARIOS, type Scenario } from '../support/leak-scenarios.ts';
import { forAll, isRefusal, type LeakWorld, type RpcName, startLeakWorld } from '../support/leak-world.ts';
import { CODES, isDoneWithout, leakyError } from '../support/leaky-errors.ts';
import { until } from '../support/waiting.ts';

const MEDIA_TYPES = ['application/json', 'application/problem+json'];

const REASONS = [
  [Code.FailedPrecondition, 'INSUFFICIENT_CREDITS', 402],
  [Code.ResourceExhausted, 'QUOTA_EXCEEDED', 429],
  [Code.Aborted, 'IDEMPOTENCY_KEY_IN_FLIGHT', 409],
  [Code.AlreadyExists, 'IDEMPOTENCY_KEY_REUSED', 422],
  [Code.Unauthenticated, 'KEY_UNKNOWN', 401],
  [Code.Unauthenticated, 'KEY_REVOKED', 401],
  [Code.Unauthenticated, 'KEY_EXPIRED', 401],
] as const;

/** A call that an operation was seen to make. */
interface Station {
  readonly operation: string;
  readonly way: string;
  readonly scenario: Scenario;
  readonly rpc: RpcName;
}

it('every operation has a scenario for its leaks, and no other', () => {
  assert.deepEqual(Object.keys(SCENARIOS).sort(), [...OPERATION_IDS].sort());
});

const WORLDS = [
  { kind: 'that knows our additions', accounts: true, operations: OPERATION_IDS },
  // It is asked other calls for the same operation.
  { kind: 'of the base contract', accounts: false, operations: ['submitWorkflow'] },
];
for (const { kind, accounts, operations } of WORLDS) {
  describe(`nothing leaks next to an orchestrator ${kind}`, () => {
    let world: LeakWorld;
    let stations: Station[] = [];
    const scenarios = listScenarios().filter(({ operation }) => operations.includes(operation));
    before(async () => {
      world = await startLeakWorld({ accounts, timeoutSeconds: 1.5 });
    });
    after(() => world?.close());

    it('when all is well', async () => {
      const { fake, good, tokens } = world;
      const cases = scenarios.flatMap((each) =>
        [...Object.values(good), ...tokens].map((token) => ({ ...each, token })),
      );
      await forAll(cases, async ({ operation, way, scenario, token }) => {
        const { request, status, adminStatus = status } = scenario(world);
        const expected = tokens.includes(token) ? adminStatus : status;
        const answer = await world.ask(isPublic(operation) ? request : as(token, request), {
          fault: (rpc) => void stations.push({ operation, way, scenario, rpc }),
        });
        assert.equal(answer.status, expected, `${operation} ${way}: ${answer.body}`);
      });
      const byName = new Map(
        stations.map((station) => [[station.operation, station.way, station.rpc].join(), station]),
      );
      // An orchestrator that does not know a call is not asked for it again; keys have a test of their own.
      const unasked = accounts ? ['authenticateApiKey'] : ['authenticateApiKey', 'acceptWorkflow'];
      stations = [...byName.values()].filter(({ rpc }) => !unasked.includes(rpc));
      assert.ok(stations.length >= (accounts ? 15 : 4), stations.map(({ rpc }) => rpc).join());
      if (accounts) assert.ok(fake.calls.some(({ rpc, headers }) => rpc === 'check' && !headers.has('x-request-id')));
      await world.settle();
    });

    it('when the orchestrator falls silent, or the client leaves', async () => {
      const cells = stations.flatMap((station) => [true, false].map((leaves) => ({ ...station, leaves })));
      await forAll(cells, async ({ operation, scenario, rpc, leaves }) => {
        const { promise: called, resolve } = Promise.withResolvers<void>();
        // Of an event stream, silence is no fault.
        const leave = leaves || rpc === 'streamWorkflowEvents' ? { leave: called } : {};
        const answer = await world.ask(as(world.good.opaque, scenario(world).request), {
          ...leave,
          fault(asked) {
            if (asked !== rpc) return;
            resolve();
            return new Promise(() => undefined);
          },
        });
        if (!leave.leave) assert.ok(isRefusal(answer), `${operation}, ${rpc}: ${answer.status}`);
      });
      await world.settle();
      assert.ok(world.gateway.logLines.some((line) => line.includes('"status":499')));
    });

    it('when the orchestrator hangs up', async () => {
      for (const { scenario, rpc } of stations) {
        let hung = 0;
        await world.ask(as(world.good.opaque, scenario(world).request), {
          fault(asked) {
            if (asked !== rpc) return;
            hung++;
            world.fake.dropConnections();
          },
        });
        assert.ok(hung > 0, rpc);
      }
      await world.settle();
    });

    it('when the orchestrator says too much with a reason', async () => {
      const [{ scenario, rpc } = assert.fail()] = stations.filter(({ operation }) => operation === 'submitWorkflow');
      for (const [code, reason, status] of REASONS) {
        const error = leakyError(world, rpc, code, reason);
        const answer = await world.ask(as(world.good.minted, scenario(world).request), {
          fault(asked) {
            if (asked === rpc) throw error;
          },
        });
        assert.equal(answer.status, status, reason);
      }
      await world.settle();
    });

    it('when the orchestrator says too much with an error', async () => {
      const cells = stations.flatMap((station, row) =>
        CODES.map((code, column) => ({ ...station, code, mediaType: MEDIA_TYPES[(row + column) % 2]! })),
      );
      const rpcs = [...new Set(stations.map(({ rpc }) => rpc))];
      const errors = new Map(
        rpcs.flatMap((rpc) => CODES.map((code) => [`${rpc} ${code}`, leakyError(world, rpc, code)])),
      );
      const fail = async ({ operation, scenario, rpc, code, mediaType }: (typeof cells)[number]) => {
        const { request } = scenario(world);
        const headers = { ...request.headers, Accept: mediaType };
        const answer = await world.ask(as(world.good.minted, { ...request, headers }), {
          fault(asked) {
            if (asked === rpc) throw errors.get(`${rpc} ${code}`);
          },
        });
        const what = `${operation}, ${rpc}: ${Code[code]}: ${answer.status}`;
        assert.equal(isRefusal(answer), !isDoneWithout(rpc, code), what);
        if (answer.status >= 400) assert.ok(answer.head.includes(`Content-Type: ${mediaType}`), what);
      };
      // After it the gateway does without some calls.
      const [known, unknown] = [cells.filter(isKnown), cells.filter((cell) => !isKnown(cell))];
      await forAll(known, fail);
      await forAll(unknown, fail);
      await world.settle();
    });

    it('when the orchestrator says too much of a key', async () => {
      const cells = CODES.flatMap((code) => {
        const key = world.addKey(`a key that is answered with ${Code[code]}`, { minted: code % 2 === 0 });
        const error = leakyError(world, 'authenticateApiKey', code);
        return scenarios.filter(({ operation }) => !isPublic(operation)).map((each) => ({ ...each, key, error }));
      });
      await forAll(cells, async ({ operation, scenario, key, error }) => {
        const answer = await world.ask(as(key, scenario(world).request), {
          fault(rpc) {
            if (rpc === 'authenticateApiKey') throw error;
          },
        });
        assert.ok(answer.status >= 500, `${operation}: ${answer.status}`);
      });
      await world.settle();
    });

    it('when the orchestrator says too much to a probe', async () => {
      for (const code of CODES.toSorted(
        (one, other) => Number(!isKnown({ code: one })) - Number(!isKnown({ code: other })),
      )) {
        const error = leakyError(world, 'check', code);
        world.failUnnamed(() => {
          throw error;
        });
        const status = async () => (await world.ask({ target: '/v1/readyz' })).status;
        await until('it is not ready', async () => (await status()) === 503);
        world.failUnnamed(undefined);
        await until('it is ready again', async () => (await status()) === 200);
      }
      await world.settle();
    });

    it('and what must be told was told', () => {
      world.canaries.checkSightings(accounts ? /^(?!what the orchestrator is called)/ : /^the message/);
    });
  });
}

function isKnown({ code }: { readonly code: Code }): boolean {
  return code !== Code.Unimplemented;
}
