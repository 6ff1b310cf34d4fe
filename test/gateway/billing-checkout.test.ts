import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { mintToken } from '../../src/shared/checksummed-token.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { type Failure, type FakeStripe, STRIPE_KEY, startFakeStripe, stripeSettings } from '../support/fake-stripe.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/waiting.ts';

const ORDER = {
  credits: 2500,
  success_url: 'https://example.org/paid?session={CHECKOUT_SESSION_ID}#top',
  cancel_url: 'http://localhost:3000',
};

interface ErrorJson {
  code: string;
  message: string;
  retryable: boolean;
  errors?: { pointer: string; message: string }[];
}

describe('POST /v1/billing/checkout', () => {
  let orchestrator: FakeOrchestrator;
  let stripe: FakeStripe;
  let gateway: TestGateway;
  const token = mintToken('ffk');
  const alice = { Authorization: `Bearer ${token}` };
  const settings = () => ({ ORCHESTRATOR_ENDPOINT: orchestrator.endpoint, API_KEYS_ENABLED: 'true' });
  before(async () => {
    orchestrator = await startFakeOrchestrator({ accounts: true });
    orchestrator.keys.set(createHash('sha256').update(token).digest('hex'), {
      principal: 'alice',
      limit: 1n,
      used: 0n,
    });
    stripe = await startFakeStripe();
    gateway = await startTestGateway({ ...settings(), ...stripeSettings(stripe) });
  });
  after(async () => {
    await gateway.close();
    await stripe.close();
    await orchestrator.close();
  });
  beforeEach(() => {
    stripe.fail();
    stripe.requests.length = 0;
  });

  const buy = (order: unknown = ORDER, headers: Record<string, string> = alice, at = gateway) =>
    at.post('/v1/billing/checkout', order, headers);
  const refusal = async (response: Response) => (await response.json()) as ErrorJson;

  it('opens a session for exactly these credits of this principal, paid by card', async () => {
    const response = await buy();
    assert.equal(response.status, 200);
    const [request] = stripe.requests;
    assert.deepEqual(request!.form, {
      mode: 'payment',
      'allowed_payment_method_types[0]': 'card',
      'line_items[0][quantity]': '1',
      'line_items[0][price_data][currency]': 'usd',
      'line_items[0][price_data][unit_amount]': '2500',
      'line_items[0][price_data][product_data][name]': 'FoldForge credits',
      client_reference_id: 'alice',
      'metadata[foldforge_principal]': 'alice',
      'metadata[foldforge_credits]': '2500',
      success_url: ORDER.success_url,
      cancel_url: ORDER.cancel_url,
    });
    assert.equal(request!.headers.authorization, `Bearer ${STRIPE_KEY}`);
    assert.ok(request!.headers['stripe-version']);
    assert.equal(request!.headers['x-stripe-client-telemetry'], undefined);
    assert.doesNotMatch(request!.headers['x-stripe-client-user-agent'] as string, /telemetry_id|platform/);
    assert.deepEqual(await response.json(), { url: stripe.sessions().at(-1)!.url });
    await buy();
    assert.equal(stripe.requests[1]!.headers['x-stripe-client-telemetry'], undefined, 'nor with the next request');
    assert.equal(orchestrator.countCalls('grantCredits'), 0, 'nothing is credited before it is paid');
  });

  it('takes the least and the most that Stripe does', async () => {
    for (const credits of [50, 99_999_999]) assert.equal((await buy({ ...ORDER, credits })).status, 200);
  });

  it('refuses what breaks the contract, before Stripe is asked', async () => {
    const { success_url: _missing, ...incomplete } = ORDER;
    const wrong: [order: object, pointer: string][] = [
      [{ ...ORDER, credits: 49 }, '/credits'],
      [{ ...ORDER, credits: 100_000_000 }, '/credits'],
      [{ ...ORDER, credits: 50.5 }, '/credits'],
      [{ ...ORDER, credits: '2500' }, '/credits'],
      [{ ...ORDER, credits: -50 }, '/credits'],
      [incomplete, '/success_url'],
      [{ ...ORDER, currency: 'eur' }, '/currency'],
      [{ ...ORDER, success_url: '/paid' }, '/success_url'],
      [{ ...ORDER, success_url: 'javascript:alert(1)' }, '/success_url'],
      [{ ...ORDER, success_url: 'https://' }, '/success_url'],
      [{ ...ORDER, success_url: 'https://[' }, '/success_url'],
      [{ ...ORDER, success_url: 'https://a b' }, '/success_url'],
      [{ ...ORDER, cancel_url: `https://example.org/${'x'.repeat(2_030)}` }, '/cancel_url'],
      [{ ...ORDER, cancel_url: 'https://example.org:99999' }, '/cancel_url'],
    ];
    for (const [order, pointer] of wrong) {
      const response = await buy(order);
      const { code, errors } = await refusal(response);
      assert.deepEqual([response.status, code, errors?.[0]?.pointer], [400, 'INVALID_ARGUMENT', pointer]);
    }
    assert.equal((await buy({ ...ORDER, cancel_url: `https://example.org/${'x'.repeat(2_028)}` })).status, 200);
    assert.equal(stripe.requests.length, 1);
  });

  it('needs somebody who has an account', async () => {
    const response = await buy(ORDER, { Authorization: 'Bearer dev-token' });
    const { code, message } = await refusal(response);
    assert.deepEqual([response.status, code], [400, 'FAILED_PRECONDITION']);
    assert.match(message, /static token has no account/);
    assert.equal((await buy(ORDER, { Authorization: '' })).status, 401);
    assert.equal(stripe.requests.length, 0);
  });

  it('is 503 where Stripe is not set up, but only for who may buy, and something that can be bought', async (t) => {
    for (const secrets of ['', 'whsec_only']) {
      const bare = await startTestGateway({ ...settings(), STRIPE_WEBHOOK_SECRETS: secrets });
      t.after(bare.close);
      const response = await buy(ORDER, alice, bare);
      const { code, retryable } = await refusal(response);
      assert.deepEqual([response.status, code, retryable], [503, 'NOT_CONFIGURED', false]);
      assert.equal((await buy({ ...ORDER, credits: 1 }, alice, bare)).status, 400);
      assert.equal((await buy(ORDER, { Authorization: '' }, bare)).status, 401);
    }
  });

  const invalid = (members: object) => ({ status: 400, error: { type: 'invalid_request_error', ...members } });
  const failures: [what: string, failure: Failure, status: number, code: string, pointer?: string][] = [
    [
      'no authority',
      { status: 401, error: { message: `Invalid API Key: ${STRIPE_KEY}` } },
      502,
      'PAYMENT_PROVIDER_ERROR',
    ],
    ['no permission', { status: 403, error: { message: `${STRIPE_KEY} may not` } }, 502, 'PAYMENT_PROVIDER_ERROR'],
    ['a card error', { status: 402, error: { type: 'card_error', message: 'x' } }, 502, 'PAYMENT_PROVIDER_ERROR'],
    ['an unknown path', { status: 404, error: { message: 'x' } }, 502, 'PAYMENT_PROVIDER_ERROR'],
    ['an unknown fault', invalid({ message: 'no business name' }), 502, 'PAYMENT_PROVIDER_ERROR'],
    ['a fault of ours', invalid({ message: 'x', param: 'mode' }), 502, 'PAYMENT_PROVIDER_ERROR'],
    ['no JSON', { status: 200, text: '<html>' }, 502, 'PAYMENT_PROVIDER_ERROR'],
    ['null', { status: 200, text: 'null' }, 502, 'PAYMENT_PROVIDER_ERROR'],
    ['no URL', { status: 200, text: '{"id":"cs_1","url":null}' }, 502, 'PAYMENT_PROVIDER_ERROR'],
    ['a refused URL', invalid({ message: 'x', param: 'cancel_url' }), 400, 'INVALID_ARGUMENT', '/cancel_url'],
    ['a small amount', invalid({ message: 'x', code: 'amount_too_small' }), 400, 'INVALID_ARGUMENT', '/credits'],
    [
      'a large amount',
      invalid({ message: 'x', param: 'line_items[0][price_data][unit_amount]' }),
      400,
      'INVALID_ARGUMENT',
      '/credits',
    ],
    ['too many requests', { status: 429, error: { message: 'x' } }, 503, 'UNAVAILABLE'],
    ['a fault of its own', { status: 500, error: { type: 'api_error', message: 'x' } }, 503, 'UNAVAILABLE'],
    ["a proxy's fault", { status: 502, text: '<html>' }, 503, 'UNAVAILABLE'],
    ['a connection that breaks', 'reset', 503, 'UNAVAILABLE'],
    ['an answer that breaks off', 'cut', 503, 'UNAVAILABLE'],
    ['silence', 'hang', 503, 'UNAVAILABLE'],
  ];
  describe('when Stripe answers with', () => {
    let hasty: TestGateway;
    before(async () => {
      hasty = await startTestGateway({
        ...settings(),
        ...stripeSettings(stripe),
        ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '0.3',
      });
    });
    after(() => hasty.close());

    for (const [what, failure, status, code, pointer] of failures) {
      it(`${what}: ${status} ${code}`, async () => {
        stripe.fail(failure);
        const startedAt = performance.now();
        const response = await buy(ORDER, alice, hasty);
        const elapsedMs = performance.now() - startedAt;
        const body = await refusal(response);
        assert.deepEqual([response.status, body.code, body.errors?.[0]?.pointer], [status, code, pointer]);
        assert.equal(body.retryable, code === 'UNAVAILABLE');
        // The package alone would take at least a second for its attempts.
        assert.ok(elapsedMs < 900, `answers in its time: ${elapsedMs} ms`);
        if (status < 500) return;
        const line = hasty.logLines.find((text) => text.includes(response.headers.get('x-request-id')!));
        assert.match(line ?? '', /"level":"error".*Stripe: /);
      });
    }

    it('nothing it should: and no key of ours is in an answer or in the log', async () => {
      assert.doesNotMatch(hasty.logLines.join(''), /canary/);
      assert.ok(hasty.logLines.some((line) => line.includes('[redacted]')));
    });
  });

  it('passes on what Stripe says of a URL, without a key', async () => {
    stripe.fail(
      invalid({ message: `Not a valid URL, ${STRIPE_KEY} and sk_test_****Key`, param: 'success_url' }) as Failure,
    );
    const { message } = await refusal(await buy());
    assert.equal(message, '/success_url is refused by Stripe: Not a valid URL, [redacted] and [redacted]');
  });

  it('does not follow the key elsewhere', async (t) => {
    const elsewhere = await startFakeStripe();
    t.after(elsewhere.close);
    const headers = { Location: `${elsewhere.url}/v1/checkout/sessions` };
    for (const status of [301, 307]) {
      stripe.fail({ status, text: '', headers });
      assert.equal((await buy()).status, 502);
    }
    assert.equal(elsewhere.requests.length, 0);
  });

  it('tries again by itself, under one idempotency key, so that one session is opened', async () => {
    const openedBefore = stripe.sessions().length;
    stripe.fail('reset', undefined);
    assert.equal((await buy()).status, 200);
    const keys = stripe.requests.map(({ headers }) => headers['idempotency-key']);
    assert.equal(keys.length, 2);
    assert.equal(keys[0], keys[1]);
    assert.equal(stripe.sessions().length, openedBefore + 1);
  });

  it('gives up after three attempts, and logs what Stripe said', async () => {
    stripe.fail({ status: 500, error: { type: 'api_error', message: 'out of order' } });
    const response = await buy();
    assert.deepEqual([response.status, stripe.requests.length], [503, 3]);
    const line = gateway.logLines.find((text) => text.includes(response.headers.get('x-request-id')!));
    assert.match(line ?? '', /StripeAPIError: req_standIn: out of order/);
  });

  it('is 503 when nobody listens there', async (t) => {
    const gone = await startFakeStripe();
    await gone.close();
    const lost = await startTestGateway({
      ...settings(),
      ...stripeSettings(gone),
      ORCHESTRATOR_RPC_TIMEOUT_SECONDS: '0.3',
    });
    t.after(lost.close);
    const response = await buy(ORDER, alice, lost);
    assert.deepEqual([response.status, (await refusal(response)).code], [503, 'UNAVAILABLE']);
  });

  it('stops asking when the client goes away', async () => {
    stripe.fail('hang');
    const headers = { ...alice, 'Content-Type': 'application/json' };
    const leaving = request(`${gateway.url}/v1/billing/checkout`, { method: 'POST', headers, agent: false });
    leaving.on('error', () => undefined).end(JSON.stringify(ORDER));
    await until('the request arrives', () => stripe.requests.length === 1);
    leaving.destroy();
    await until('the request is given up', () => stripe.requests[0]!.gone);
    await until('it is counted as 499', () =>
      gateway.logLines.some((line) => line.includes('"route":"/v1/billing/checkout","status":499')),
    );
    assert.equal(stripe.requests.length, 1);
  });
});
