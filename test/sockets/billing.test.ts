import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { runApikeyCommand } from '../../src/orchestrator/accounts/apikey-command.ts';
import { createScriptedRunner, startTestOrchestrator } from '../orchestrator/harness.ts';
import {
  completedEvent,
  type FakeStripe,
  type Session,
  signWebhook,
  startFakeStripe,
  stripeSettings,
  WEBHOOK_SECRETS,
} from '../support/fake-stripe.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const SPEC = { name: 'x', steps: [{ id: 'a', tool: 'af2' }] };
const PRICE = 10;

interface Entry {
  readonly delta: number;
  readonly reason: string;
  readonly balance_after: number;
}

describe('credits, from the checkout to the ledger', () => {
  let postgres: TestPostgres;
  let orchestrator: Awaited<ReturnType<typeof startTestOrchestrator>>;
  let stripe: FakeStripe;
  let gateways: TestGateway[] = [];
  let databaseUrl: string;
  before(async () => {
    postgres = await startTestPostgres();
    databaseUrl = await postgres.createMigratedDatabase();
    orchestrator = await startTestOrchestrator(databaseUrl, createScriptedRunner(), {
      BILLING_ENABLED: 'true',
      PRICE_PER_STEP: String(PRICE),
    });
    stripe = await startFakeStripe();
    const settings = {
      ...stripeSettings(stripe),
      ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${orchestrator.port}`,
      API_KEYS_ENABLED: 'true',
    };
    gateways = await Promise.all([startTestGateway(settings), startTestGateway(settings)]);
  });
  after(async () => {
    for (const gateway of gateways) await gateway.close();
    await stripe?.close();
    await orchestrator?.close();
    await postgres?.close();
  });

  async function newKey(principal: string) {
    const lines: string[] = [];
    await runApikeyCommand(['create', principal], { databaseUrl, print: (line) => lines.push(line) });
    return { Authorization: `Bearer ${lines[0]!.trim()}` };
  }

  async function buy(headers: Record<string, string>, credits: number): Promise<Session> {
    const order = { credits, success_url: 'https://example.org/paid', cancel_url: 'https://example.org' };
    const response = await gateways[0]!.post('/v1/billing/checkout', order, headers);
    assert.equal(response.status, 200);
    const { url } = (await response.json()) as { url: string };
    const session = stripe.sessions().find((opened) => opened.url === url);
    assert.ok(session, url);
    return session;
  }

  async function deliver(gateway: TestGateway, session: Session, secret: string) {
    const body = completedEvent(session);
    const headers = {
      Authorization: '',
      'Content-Type': 'application/json',
      'Stripe-Signature': signWebhook(body, secret),
    };
    const response = await gateway.request('/v1/billing/webhook', { method: 'POST', body, headers });
    assert.equal(response.status, 200);
    return (await response.json()) as { credited: boolean; balance: number };
  }

  async function accountOf(headers: Record<string, string>) {
    const [balance, ledger] = await Promise.all(
      ['balance', 'ledger'].map((what) => gateways[1]!.request(`/v1/billing/${what}`, { headers })),
    );
    const { entries } = (await ledger!.json()) as { entries: Entry[] };
    return { ...((await balance!.json()) as { balance: number }), entries };
  }

  it('are credited once, by ten deliveries at once to two gateways, and can be spent', async () => {
    const alice = await newKey('alice');
    assert.equal((await gateways[0]!.post('/v1/workflows', SPEC, alice)).status, 402);
    const session = await buy(alice, 2500);
    assert.deepEqual(await accountOf(alice), { balance: 0, entries: [] }, 'nothing is credited before it is paid');

    const receipts = await Promise.all(
      Array.from({ length: 10 }, (_, turn) => deliver(gateways[turn % 2]!, session, WEBHOOK_SECRETS[turn % 2]!)),
    );
    assert.equal(receipts.filter(({ credited }) => credited).length, 1);
    assert.deepEqual([...new Set(receipts.map(({ balance }) => balance))], [2500]);
    const paid = await accountOf(alice);
    assert.equal(paid.balance, 2500);
    assert.deepEqual(
      paid.entries.map(({ delta, reason, balance_after }) => [delta, reason, balance_after]),
      [[2500, `topup:stripe:${session.id}`, 2500]],
    );

    assert.equal((await gateways[1]!.post('/v1/workflows', SPEC, alice)).status, 201);
    assert.deepEqual(await deliver(gateways[0]!, session, WEBHOOK_SECRETS[0]), {
      received: true,
      credited: false,
      balance: 2500 - PRICE,
    });
    assert.equal((await accountOf(alice)).entries.length, 2);
  });

  it('are credited for each session, to the principal who opened it', async () => {
    const [bob, carol] = [await newKey('bob'), await newKey('carol')];
    const sessions = await Promise.all([buy(bob, 50), buy(bob, 50), buy(carol, 99_999_999)]);
    await Promise.all(sessions.map((session) => deliver(gateways[0]!, session, WEBHOOK_SECRETS[1])));
    const accounts = [await accountOf(bob), await accountOf(carol)];
    assert.deepEqual(
      accounts.map(({ balance, entries }) => [balance, entries.length]),
      [
        [100, 2],
        [99_999_999, 1],
      ],
    );
  });
});
