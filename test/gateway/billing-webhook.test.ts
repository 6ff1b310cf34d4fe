import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { completedEvent, signWebhook, WEBHOOK_SECRETS } from '../support/fake-stripe.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/waiting.ts';

const SETTINGS = { STRIPE_WEBHOOK_SECRETS: WEBHOOK_SECRETS.join() };

let count = 0;
/** A session that was opened here. */
function sessionFor(principal: string, credits = '2500') {
  count += 1;
  return { id: `cs_test_${count}`, metadata: { foldforge_principal: principal, foldforge_credits: credits } };
}

function deliver(to: TestGateway, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return to.request('/v1/billing/webhook', {
    method: 'POST',
    body,
    headers: {
      Authorization: '',
      'Content-Type': 'application/json; charset=utf-8',
      'Stripe-Signature': signWebhook(body),
      ...headers,
    },
  });
}

async function eventsBy(gateway: TestGateway): Promise<Record<string, number>> {
  const text = await (await gateway.request('/metrics')).text();
  const lines = text.matchAll(/^foldforge_gateway_stripe_events_total\{result="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, result, value]) => [result!, Number(value)]));
}

describe('POST /v1/billing/webhook', () => {
  let orchestrator: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    orchestrator = await startFakeOrchestrator({ accounts: true });
    gateway = await startTestGateway({
      ...SETTINGS,
      ORCHESTRATOR_ENDPOINT: orchestrator.endpoint,
      BODY_LIMIT_BYTES: '4096',
    });
  });
  after(async () => {
    await gateway.close();
    await orchestrator.close();
  });
  beforeEach(() => {
    orchestrator.clearFaults();
    orchestrator.calls.length = 0;
  });

  it('credits a paid session, in the name of the operator alone', async () => {
    const session = sessionFor('alice');
    // Stripe sends no Authorization; whoever does is no more than that.
    const response = await deliver(gateway, completedEvent(session), { Authorization: 'Bearer nonsense' });
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { received: true, credited: true, balance: 2500 });
    const [call, ...others] = orchestrator.calls;
    assert.deepEqual(others, []);
    assert.equal(call!.rpc, 'grantCredits');
    const { principal, amount, reason, idempotencyKey } = call!.request as Record<string, unknown>;
    assert.deepEqual(
      [principal, amount, reason, idempotencyKey],
      ['alice', 2500n, `topup:stripe:${session.id}`, `stripe:${session.id}`],
    );
    assert.equal(call!.headers.get('ff-principal'), null);
    assert.equal(call!.headers.get('x-request-id'), response.headers.get('x-request-id'));
  });

  it('credits a session once, however often it is delivered', async () => {
    const body = completedEvent(sessionFor('bob', '500'));
    const answers = [await deliver(gateway, body), await deliver(gateway, body), await deliver(gateway, body)];
    assert.deepEqual(await Promise.all(answers.map((answer) => answer.json())), [
      { received: true, credited: true, balance: 500 },
      { received: true, credited: false, balance: 500 },
      { received: true, credited: false, balance: 500 },
    ]);
  });

  it('credits a session once, however concurrently it is delivered, by however many events', async () => {
    const session = sessionFor('carol', '700');
    const earlier = await eventsBy(gateway);
    const answers = await Promise.all(Array.from({ length: 20 }, () => deliver(gateway, completedEvent(session))));
    const receipts = (await Promise.all(answers.map((answer) => answer.json()))) as { credited: boolean }[];
    assert.equal(receipts.filter(({ credited }) => credited).length, 1);
    assert.equal(orchestrator.balances.get('carol'), 700n);
    const later = await eventsBy(gateway);
    assert.equal(later.credited! - (earlier.credited ?? 0), 1);
    assert.equal(later.replayed! - (earlier.replayed ?? 0), 19);
  });

  it('says credited of each delivery where the orchestrator does not tell, and still credits once', async (t) => {
    const base = await startFakeOrchestrator();
    t.after(base.close);
    const onBase = await startTestGateway({ ...SETTINGS, ORCHESTRATOR_ENDPOINT: base.endpoint });
    t.after(onBase.close);
    const body = completedEvent(sessionFor('dave', '60'));
    for (const _delivery of [1, 2]) {
      const answer = await deliver(onBase, body);
      assert.deepEqual(await answer.json(), { received: true, credited: true, balance: 60 });
    }
    assert.equal(base.balances.get('dave'), 60n);
  });

  it('keeps every digit', async () => {
    const session = sessionFor('erin', '9007199254740993');
    const answer = await deliver(gateway, completedEvent(session));
    assert.equal(await answer.text(), '{"received":true,"credited":true,"balance":9007199254740993}');
    assert.equal(orchestrator.balances.get('erin'), 9_007_199_254_740_993n);
  });

  it('takes note of every other event, and does nothing', async () => {
    const session = sessionFor('frank');
    const others = [
      completedEvent(session, { payment_status: 'unpaid' }),
      completedEvent(session, { payment_status: 'no_payment_required' }),
      completedEvent(session, { payment_status: undefined }),
      completedEvent(session, {}, 'checkout.session.expired'),
      completedEvent(session, {}, 'checkout.session.async_payment_succeeded'),
      completedEvent(session, {}, 'charge.refunded'),
      completedEvent(session, { metadata: {} }),
      completedEvent(session, { metadata: null }),
      completedEvent(session, { metadata: { order: '7', credits: '2500' } }),
      completedEvent(session, { id: undefined }),
      '{"object":"v2.core.event","type":"v1.billing.meter.error_report_triggered","data":null}',
      '{"type":"checkout.session.completed"}',
      '{"type":"checkout.session.completed","data":{"object":[]}}',
      '{"type":"checkout.session.completed","data":"x"}',
    ];
    const { ignored = 0 } = await eventsBy(gateway);
    for (const body of others) {
      const answer = await deliver(gateway, body);
      assert.deepEqual(await answer.json(), { received: true, credited: false }, body);
    }
    assert.deepEqual(orchestrator.calls, []);
    assert.equal((await eventsBy(gateway)).ignored, ignored + others.length);
  });

  it('tells the operator of a paid session that it cannot read, and does not make Stripe repeat it', async () => {
    const spoiled = [
      { foldforge_principal: 'gina' },
      { foldforge_credits: '100' },
      { foldforge_principal: '', foldforge_credits: '100' },
      { foldforge_principal: 'gina', foldforge_credits: '' },
      { foldforge_principal: 'gina', foldforge_credits: '0' },
      { foldforge_principal: 'gina', foldforge_credits: '-100' },
      { foldforge_principal: 'gina', foldforge_credits: '1e3' },
      { foldforge_principal: 'gina', foldforge_credits: '0100' },
      { foldforge_principal: 'gina', foldforge_credits: 100 },
      { foldforge_principal: 'gina', foldforge_credits: '9223372036854775808' },
    ];
    for (const metadata of spoiled) {
      const session = sessionFor('gina');
      const answer = await deliver(
        gateway,
        completedEvent(session, { metadata, customer_email: 'canary@example.org' }),
      );
      assert.equal(answer.status, 200);
      assert.deepEqual(await answer.json(), { received: true, credited: false }, JSON.stringify(metadata));
      const line = gateway.logLines.find((text) => text.includes(`"session":"${session.id}"`));
      assert.match(line ?? '', /"level":"error".*nothing was credited/);
      assert.ok(line!.includes(answer.headers.get('x-request-id')!));
    }
    assert.deepEqual(orchestrator.calls, []);
    assert.equal((await eventsBy(gateway)).damaged, spoiled.length);
  });

  it('makes Stripe come again when the orchestrator cannot or will not', async () => {
    const statuses: [code: Code, status: number][] = [
      [Code.Unavailable, 503],
      [Code.ResourceExhausted, 503],
      [Code.DeadlineExceeded, 504],
      [Code.Unimplemented, 501],
      [Code.Internal, 500],
      [Code.InvalidArgument, 500],
      [Code.AlreadyExists, 500],
      [Code.PermissionDenied, 500],
      [Code.NotFound, 500],
      [Code.FailedPrecondition, 500],
      [Code.Unauthenticated, 500],
      [Code.Aborted, 500],
    ];
    const { failed = 0 } = await eventsBy(gateway);
    const session = sessionFor('hugo', '90');
    for (const [code, status] of statuses) {
      orchestrator.onCall('grantCredits', () => {
        throw new ConnectError('the database says no', code);
      });
      const answer = await deliver(gateway, completedEvent(session));
      assert.equal(answer.status, status, Code[code]);
      assert.doesNotMatch(await answer.text(), /database/);
      const line = gateway.logLines.find((text) => text.includes(answer.headers.get('x-request-id')!));
      assert.match(line ?? '', /"level":"error".*the database says no/);
    }
    assert.equal((await eventsBy(gateway)).failed, failed + statuses.length);
    orchestrator.clearFaults();
    const again = await deliver(gateway, completedEvent(session));
    assert.deepEqual(await again.json(), { received: true, credited: true, balance: 90 });
  });

  it('credits what was paid while the orchestrator was down, once it is back', async (t) => {
    const first = await startFakeOrchestrator();
    const { port, endpoint } = first;
    const alone = await startTestGateway({ ...SETTINGS, ORCHESTRATOR_ENDPOINT: endpoint });
    t.after(alone.close);
    await first.close();
    const body = completedEvent(sessionFor('ida', '75'));
    const away = await deliver(alone, body);
    assert.deepEqual([away.status, away.headers.get('retry-after')], [503, '1']);
    const second = await startFakeOrchestrator({ port });
    t.after(second.close);
    await until('it is credited', async () => (await deliver(alone, body)).status === 200);
    assert.equal(second.balances.get('ida'), 75n);
  });

  it('looks at the size and the type, then at the signature, then at the contract', async () => {
    const large = completedEvent(sessionFor('jan'), { padding: 'x'.repeat(5_000) });
    const json = { 'Content-Type': 'application/json' };
    const unsigned = { 'Stripe-Signature': signWebhook('something else') };
    const status = async (body: string, headers = {}) => (await deliver(gateway, body, headers)).status;
    assert.equal(await status(large, unsigned), 413);
    assert.equal(await status('not JSON', unsigned), 401);
    assert.equal(await status('not JSON', { ...unsigned, 'Content-Type': 'text/plain' }), 415);
    for (const body of ['not JSON', '[]', '"text"', '{}', '{"type":5}']) {
      assert.equal(await status(body, json), 400, body);
    }
    assert.equal(await status('{"type":"x"}', { 'Content-Type': 'text/plain' }), 415);
    const body = '{"type":"x"}';
    const query = await gateway.request('/v1/billing/webhook?x=1', {
      method: 'POST',
      body,
      headers: { ...json, 'Stripe-Signature': signWebhook(body) },
    });
    assert.equal(query.status, 400);
    const get = await gateway.request('/v1/billing/webhook');
    assert.deepEqual([get.status, get.headers.get('allow')], [405, 'POST, OPTIONS']);
    assert.deepEqual(orchestrator.calls, []);
  });

  it('is 503 without a webhook secret, whatever comes', async (t) => {
    const bare = await startTestGateway({ ORCHESTRATOR_ENDPOINT: orchestrator.endpoint });
    t.after(bare.close);
    const body = completedEvent(sessionFor('kim'));
    for (const header of [signWebhook(body), signWebhook(body, ''), 'nonsense']) {
      const answer = await deliver(bare, body, { 'Stripe-Signature': header });
      assert.deepEqual([answer.status, ((await answer.json()) as { code: string }).code], [503, 'NOT_CONFIGURED']);
    }
  });

  it('logs no payload and no secret', () => {
    const log = gateway.logLines.join('');
    assert.doesNotMatch(log, /canary|foldforge_credits|payment_status|v1=/);
    assert.match(log, /"route":"\/v1\/billing\/webhook"/);
  });
});
