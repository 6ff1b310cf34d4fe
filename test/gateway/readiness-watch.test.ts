import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import fc from 'fast-check';
import type { Call } from '../../src/gateway/context.ts';
import { fromGrpc } from '../../src/gateway/upstream/grpc-errors.ts';
import { createOrchestratorProbe } from '../../src/gateway/upstream/probe-orchestrator.ts';
import { createWatch } from '../../src/gateway/upstream/watch-dependency.ts';
import { HealthCheckResponse_ServingStatus as ServingStatus } from '../../src/gen/grpc/health/v1/health_pb.ts';
import { until, within } from '../support/waiting.ts';

const PERIOD_MS = 2;

/** What a dependency is known to be after each answer: up after one good one, down after so many bad ones in a row. */
function expectStates(answers: readonly boolean[], threshold: number): boolean[] {
  let isUp = false;
  let failures = 0;
  return answers.map((isGood) => {
    failures = isGood ? 0 : failures + 1;
    if (isGood) isUp = true;
    else if (failures >= threshold) isUp = false;
    return isUp;
  });
}

describe('the watch of a dependency', () => {
  it('knows at each time what the last answers say', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 4 }),
        async (answers, threshold) => {
          const states: boolean[] = [];
          const { promise: over, resolve } = Promise.withResolvers<void>();
          let asked = 0;
          let isUp = false;
          const watch = createWatch({
            periodMs: PERIOD_MS,
            threshold,
            onChange: (next) => {
              isUp = next;
            },
            probe: {
              restPeriods: () => 1,
              async ask() {
                if (asked > 0) states.push(isUp);
                if (asked === answers.length) resolve();
                if (answers[asked++] !== true) throw new Error('it is bad');
              },
            },
          });
          void watch.isUp();
          await within('all answers', over);
          watch.close();
          assert.deepEqual(states.slice(0, answers.length), expectStates(answers, threshold));
        },
      ),
      { numRuns: 25 },
    );
  });

  it('asks one question at a time, by itself, and none once it is closed', async () => {
    let asked = 0;
    let underWay = 0;
    const watch = createWatch({
      periodMs: PERIOD_MS,
      threshold: 1,
      onChange: () => undefined,
      probe: {
        restPeriods: () => 1,
        async ask() {
          asked++;
          assert.equal(++underWay, 1);
          await new Promise(setImmediate);
          underWay--;
        },
      },
    });
    watch.start();
    await until('it has asked some times', () => asked >= 3);
    assert.equal(await watch.isUp(), true);
    watch.close();
    const askedThen = asked;
    await new Promise((resolve) => setTimeout(resolve, 10 * PERIOD_MS));
    assert.equal(asked, askedThen);
  });

  it('breaks off a question that is under way when it is closed', async () => {
    const { promise: broken, resolve } = Promise.withResolvers<void>();
    const watch = createWatch({
      periodMs: PERIOD_MS,
      threshold: 1,
      onChange: () => assert.fail('nothing has been found out'),
      probe: {
        restPeriods: () => 1,
        ask: (signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              resolve();
              reject(signal.reason);
            });
          }),
      },
    });
    const known = watch.isUp();
    watch.close();
    await within('the question is broken off', broken);
    assert.equal(await known, false);
  });
});

describe('the probe of an orchestrator', () => {
  const refuse = (code: Code) => () =>
    Promise.reject(fromGrpc(new ConnectError('no', code), new AbortController().signal));
  const { signal } = new AbortController();

  it('is a list, and rarer, where there is no health service', async () => {
    const pages: unknown[] = [];
    const listWorkflows = async (request: unknown) => void pages.push(request);
    let checks = 0;
    const checkHealth = () => {
      checks++;
      return refuse(Code.Unimplemented)();
    };
    const probe = createOrchestratorProbe({ checkHealth, listWorkflows } as never, 1_000);
    assert.equal(probe.restPeriods(), 1);
    await probe.ask(signal);
    await probe.ask(signal);
    assert.deepEqual([checks, pages, probe.restPeriods()], [2, [{ pageSize: 1 }, { pageSize: 1 }], 5]);
  });

  it('fails when the service says so, is away, or says nothing', async () => {
    const listWorkflows = () => assert.fail('there is a health service');
    const says = (status: ServingStatus) => ({ checkHealth: async () => ({ status }), listWorkflows });
    await createOrchestratorProbe(says(ServingStatus.SERVING) as never, 1_000).ask(signal);
    const down = createOrchestratorProbe(says(ServingStatus.NOT_SERVING) as never, 1_000);
    await assert.rejects(down.ask(signal), /the orchestrator says NOT_SERVING/);
    const away = createOrchestratorProbe({ checkHealth: refuse(Code.Unavailable), listWorkflows } as never, 1_000);
    await assert.rejects(away.ask(signal), { code: 'UNAVAILABLE' });
    // As the orchestrator's client does it; test/sockets/probe-silence.test.ts has the real one.
    const checkHealth = (_request: unknown, { timeLeftMs }: Call) =>
      new Promise((_resolve, reject) => {
        setTimeout(() => refuse(Code.DeadlineExceeded)().catch(reject), timeLeftMs());
      });
    const silent = createOrchestratorProbe({ checkHealth, listWorkflows } as never, 20);
    await within('its time is up', assert.rejects(silent.ask(signal), { code: 'DEADLINE_EXCEEDED' }));
  });
});
