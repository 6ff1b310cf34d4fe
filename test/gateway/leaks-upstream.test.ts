import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type Failure, STRIPE_KEY, WEBHOOK_SECRETS } from '../support/fake-stripe.ts';
import { as, SCENARIOS } from '../support/leak-scenarios.ts';
import { forAll, isRefusal, type LeakWorld, startLeakWorld } from '../support/leak-world.ts';
import { CODES, leakyError } from '../support/leaky-errors.ts';
import { until } from '../support/waiting.ts';

describe('nothing leaks', () => {
  let world: LeakWorld;
  before(async () => {
    world = await startLeakWorld({ timeoutSeconds: 0.8 });
  });
  after(() => world?.close());

  it('when the orchestrator comes back to an event stream with an error', async () => {
    const { fake, good } = world;
    let isBroken = false;
    const streams = CODES.flatMap((code) => {
      const error = leakyError(world, 'streamWorkflowEvents', code);
      return [good.minted, world.tokens[1]!].map((token) => {
        const target = `/v1/workflows/${world.addWorkflow(JobState.RUNNING)}/events`;
        const fault = () => {
          if (isBroken) throw error;
        };
        return world.ask(as(token, { target }), { fault });
      });
    });
    await until('all streams are open', () => fake.openStreams() === streams.length);
    isBroken = true;
    fake.dropConnections();
    for (const answer of await Promise.all(streams)) assert.ok(answer.status === 200 && isRefusal(answer), answer.body);
    await world.settle();
  });

  it('when a key is revoked for a reason that is nobody’s business, also under an open event stream', async () => {
    const reason = world.canaries.plant('why a key was revoked', {});
    const revoked = world.addKey('a key that is revoked', { denyReason: `revoked: ${reason}` });
    assert.match((await world.ask(as(revoked, { target: '/v1/workflows' }))).body, /KEY_REVOKED/);
    const key = world.addKey('a key that will be revoked');
    const stream = world.ask(as(key, { target: `/v1/workflows/${world.addWorkflow(JobState.RUNNING)}/events` }));
    await until('the stream is open', () => world.fake.openStreams() === 1);
    for (const entry of world.fake.keys.values()) entry.denyReason = `revoked: ${reason}`;
    assert.match((await stream).body, /^event: error\ndata: .*KEY_REVOKED/m);
    for (const entry of world.fake.keys.values()) delete entry.denyReason;
    await world.settle();
  });

  it('when the store says too much, or breaks off in the middle', async () => {
    const ways: Record<string, string>[] = [{}, { Range: 'bytes=0-40' }, { Accept: 'application/problem+json' }];
    const cells = world.store.failures.flatMap((failure) => ways.map((headers) => ({ failure, headers })));
    await forAll(cells, async ({ failure, headers }) => {
      const key = `artifacts/${failure}`;
      const target = `/v1/workflows/${world.addWorkflow(JobState.SUCCEEDED, key)}/artifacts/${encodeURI(key)}`;
      const { status, head, body } = await world.ask(as(world.tokens[0]!, { target, headers }));
      const [, promised] = /^content-length: (\d+)/im.exec(head) ?? [];
      assert.ok(status >= 500 || Number(promised) > Buffer.byteLength(body), `${failure}: ${status} ${body}`);
    });
    await world.settle();
  });

  it('when the client leaves in the middle of a file', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const key = 'artifacts/falls silent';
    const target = `/v1/workflows/${world.addWorkflow(JobState.SUCCEEDED, key)}/artifacts/${encodeURI(key)}`;
    const before = world.store.requests.length;
    const asked = world.ask(as(world.good.minted, { target }), { leave: promise });
    await until('the store is asked', () => world.store.requests.length > before);
    resolve();
    await asked;
    await world.settle();
  });

  it('when the payment provider says too much', async () => {
    const { canaries, stripe, good } = world;
    const inside = (name: string) => canaries.plant(`${name} of Stripe`, { may: ['log'] });
    const said = (name: string) => canaries.plant(`the message of ${name} of Stripe`, { must: ['log'] });
    const answers: [status: number, failure: Failure][] = [
      [502, { status: 401, error: { message: `Invalid API Key provided: ${STRIPE_KEY}, ${said('a refusal')}` } }],
      [
        502,
        { status: 403, error: { message: `${STRIPE_KEY.slice(0, 12)}****${STRIPE_KEY.slice(-4)}`, x: inside('X') } },
      ],
      [502, { status: 402, error: { type: 'card_error', message: `whose secret is ${WEBHOOK_SECRETS[0]}` } }],
      [503, { status: 500, error: { message: inside('a fault'), doc_url: inside('a link') } }],
      [503, { status: 500, text: `<html>${inside('a page')}</html>`, headers: { Server: inside('a header') } }],
      [503, { status: 429, error: { message: said('too much'), request_log_url: inside('a log') } }],
      [503, 'hang'],
      [503, 'reset'],
      [503, 'cut'],
    ];
    const { openCheckout } = SCENARIOS;
    for (const [status, failure] of answers) {
      stripe.fail(failure);
      const answer = await world.ask(as(good.minted, openCheckout!.plain!(world).request));
      assert.equal(answer.status, status, `${JSON.stringify(failure)}: ${answer.body}`);
    }
    const mended = canaries.plant('what Stripe says of a URL', { must: ['body'] });
    stripe.fail({
      status: 400,
      error: { type: 'invalid_request_error', param: 'success_url', message: `no ${mended}` },
    });
    assert.equal((await world.ask(as(good.minted, openCheckout!.plain!(world).request))).status, 400);
    stripe.fail();
    await world.settle();
  });

  it('and what must be told was told', () => {
    world.canaries.checkSightings(/^(the message of|what Stripe says)/);
  });
});

describe('nothing leaks while the orchestrator cannot be reached', () => {
  let world: LeakWorld;
  before(async () => {
    world = await startLeakWorld({ unreachable: true });
  });
  after(() => world?.close());

  it('not even what it is called', async () => {
    await forAll(Object.entries(SCENARIOS), async ([operation, ways]) => {
      for (const token of [world.good.minted, world.tokens[0]!]) {
        for (const Accept of ['application/json', 'application/problem+json']) {
          const { request } = Object.values(ways)[0]!(world);
          const answer = await world.ask(as(token, { ...request, headers: { ...request.headers, Accept } }));
          assert.ok(answer.status > 0, operation);
        }
      }
    });
    await world.settle();
    world.canaries.checkSightings(/^what the orchestrator is called/);
  });
});
