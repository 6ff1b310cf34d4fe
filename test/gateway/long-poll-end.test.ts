import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/waiting.ts';

const POLLS = 60;
const LIMIT = 10;
let fake: FakeOrchestrator;
let gateway: TestGateway;
before(async () => {
  fake = await startFakeOrchestrator();
  gateway = await startTestGateway({
    ORCHESTRATOR_ENDPOINT: fake.endpoint,
    IN_FLIGHT_MIN: String(LIMIT),
    IN_FLIGHT_MAX: String(LIMIT),
  });
});
after(async () => {
  await gateway.close();
  await fake.close();
});

it('the end of a workflow does not make one call for each long poll at once', async () => {
  const { id } = fake.put({ spec: { name: 'x' }, state: JobState.RUNNING });
  const polls: Promise<Response>[] = [];
  const held = async () => {
    const text = await (await gateway.request('/metrics')).text();
    return Number(/^foldforge_gateway_held_requests (\S+)$/m.exec(text)?.[1]);
  };
  while (polls.length < POLLS) {
    polls.push(gateway.request(`/v1/workflows/${id}?wait=30`));
    if (polls.length % 5 === 0) await until('they wait', async () => (await held()) === polls.length);
  }
  let underWay = 0;
  let most = 0;
  const answer = Promise.withResolvers<void>();
  fake.onCall('getWorkflow', async () => {
    most = Math.max(most, ++underWay);
    await answer.promise;
    underWay--;
  });
  fake.workflowUpdate(id, JobState.SUCCEEDED);
  await until('it is read', () => underWay > 0);
  // What is asked in the same moment has come by then.
  await gateway.request('/v1/workflows').then((response) => response.text());
  answer.resolve();
  const statuses = await Promise.all(polls.map(async (poll) => (await poll).status));
  assert.deepEqual(new Set(statuses), new Set([200]));
  assert.ok(most <= LIMIT, `${most} calls at once for ${POLLS} long polls`);
});
