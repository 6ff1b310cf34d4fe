import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { checkWebhookSignature } from '../../src/gateway/access/webhook-signature.ts';
import { createPayments } from '../../src/gateway/upstream/payments.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { signWebhook, WEBHOOK_SECRETS } from '../support/fake-stripe.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

const [OLD, NEW] = WEBHOOK_SECRETS;
const WRONG = 'whsec_canaryWrong';
// Umlauts, an emoji and an escaped character, spaced as no serializer would.
const BODY = '{ "type":"customer.created",\n\t"data": {"object":{"name":"Jörg Müßig 🧬 \\u00e9"}} }\n';

describe('the Stripe-Signature header', () => {
  let orchestrator: FakeOrchestrator;
  let gateway: TestGateway;
  before(async () => {
    orchestrator = await startFakeOrchestrator();
    gateway = await startTestGateway({
      ORCHESTRATOR_ENDPOINT: orchestrator.endpoint,
      STRIPE_WEBHOOK_SECRETS: WEBHOOK_SECRETS.join(),
    });
  });
  after(async () => {
    await gateway.close();
    await orchestrator.close();
  });

  function deliver(signature: string | undefined, body: string | Buffer<ArrayBuffer> = BODY): Promise<Response> {
    const headers: Record<string, string> = { Authorization: '', 'Content-Type': 'application/json' };
    if (signature !== undefined) headers['Stripe-Signature'] = signature;
    return gateway.request('/v1/billing/webhook', { method: 'POST', body, headers });
  }

  async function refusal(signature: string | undefined, body?: string | Buffer<ArrayBuffer>): Promise<string> {
    const answer = await deliver(signature, body);
    const { code, message } = (await answer.json()) as { code: string; message: string };
    assert.deepEqual([answer.status, code], [401, 'UNAUTHENTICATED'], signature);
    assert.equal(answer.headers.get('www-authenticate'), 'Stripe-Signature');
    assert.doesNotMatch(message, /canary|[0-9a-f]{64}/);
    return message;
  }

  const seconds = () => Math.floor(Date.now() / 1000);
  const junk = (length: number) => 'a'.repeat(length);

  it('is good by each of the secrets, alone or among signatures by others', async () => {
    const [byOld, byNew, byWrong] = [OLD, NEW, WRONG].map((secret) => signWebhook(BODY, secret));
    const second = byNew!.replace(/^t=\d+,/, '');
    const good = [
      byOld!,
      byNew!,
      `${byWrong},${second}`,
      `${byWrong},v1=${junk(64)},${second}`,
      `${byWrong},v0=${junk(64)},v1=,v1,${second}`,
      `${second},${byWrong}`,
      byOld!.replace(',', ', '),
    ];
    for (const header of good) assert.equal((await deliver(header)).status, 200, header);
  });

  it('covers the bytes as they came', async () => {
    const raw = Buffer.from(BODY);
    const header = signWebhook(BODY);
    for (const at of [0, 40, raw.indexOf('ö'), raw.length - 1]) {
      const changed = Buffer.from(raw);
      changed[at]! ^= 1;
      assert.match(await refusal(header, changed), /no webhook secret matches/, `byte ${at}`);
    }
    const changes: Buffer<ArrayBuffer>[] = [
      Buffer.from(JSON.stringify(JSON.parse(BODY))),
      Buffer.from(BODY.normalize('NFD')),
      Buffer.from(`${BODY} `),
      Buffer.from(`\ufeff${BODY}`),
      Buffer.from(''),
    ];
    for (const changed of changes) assert.match(await refusal(header, changed), /no webhook secret matches/);
    // Bytes that are no UTF-8, and what a decoder makes of them.
    const broken = Buffer.from([0x7b, 0xff, 0x7d]);
    const decoded = Buffer.from(broken.toString());
    assert.match(await refusal(signWebhook(decoded), broken), /no webhook secret matches/);
    assert.equal((await deliver(signWebhook(broken), broken)).status, 400, 'it is signed, but it is not JSON');
  });

  it('is refused when it is missing, malformed, or by no secret of ours', async () => {
    assert.match(await refusal(undefined), /missing/);
    const now = seconds();
    const [, hex] = signWebhook(BODY).split('v1=') as [string, string];
    const malformed = [
      '',
      'nonsense',
      't=1',
      `v1=${hex}`,
      `t=${now}`,
      `t=,v1=${hex}`,
      `t=${now}.5,v1=${hex}`,
      `t=-${now},v1=${hex}`,
      `t=${now},t=${now},v1=${hex}`,
      `t=${now},v1=`,
      `t=${now},v1`,
      `t=${now},v1=${hex.slice(1)}`,
      `t=${now},v1=${hex}0`,
      `t=${now},v1=${hex.slice(1)}\u00e9`,
      signWebhook(BODY, OLD, { scheme: 'v0' }),
      signWebhook(BODY, OLD, { scheme: 'V1' }),
    ];
    for (const header of malformed) assert.match(await refusal(header), /malformed/, header);
    for (const header of [signWebhook(BODY, WRONG), `t=${now},v1=${junk(64)}`, signWebhook(BODY, '')]) {
      assert.match(await refusal(header), /no webhook secret matches/);
    }
    const other = signWebhook(BODY, OLD, { at: now - 10 }).replace(`t=${now - 10}`, `t=${now}`);
    assert.match(await refusal(other), /no webhook secret matches/, 'the time is signed, too');
  });

  it('is good for 300 seconds, before and after', async () => {
    const payments = await createPayments({
      secretKey: '',
      webhookSecrets: WEBHOOK_SECRETS,
      endpoint: 'https://api.stripe.com',
    });
    const nowMs = 1_800_000_000_999;
    const check = (age: number) => () => {
      const header = signWebhook(BODY, NEW, { at: 1_800_000_000 - age });
      checkWebhookSignature(payments, header, Buffer.from(BODY), nowMs);
    };
    for (const age of [0, 300, -300]) assert.doesNotThrow(check(age), `${age}`);
    assert.throws(check(301), /older than 300 seconds/);
    assert.throws(check(-301), /300 seconds in the future/);

    const at = (age: number) => signWebhook(BODY, NEW, { at: seconds() - age });
    assert.match(await refusal(at(301)), /older than 300 seconds/);
    assert.match(await refusal(at(-310)), /300 seconds in the future/);
    for (const age of [290, -290]) assert.equal((await deliver(at(age))).status, 200);
  });

  it('is counted when it is refused', async () => {
    const count = async () => {
      const text = await (await gateway.request('/metrics')).text();
      return Number(/stripe_events_total\{result="refused"\} (\d+)/.exec(text)?.[1]);
    };
    const earlier = await count();
    await refusal(undefined);
    await refusal(signWebhook(BODY, WRONG));
    assert.equal(await count(), earlier + 2);
  });
});
