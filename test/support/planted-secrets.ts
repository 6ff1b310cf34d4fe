import { type Canaries, NOWHERE } from './canaries.ts';
import { STRIPE_KEY, WEBHOOK_SECRETS } from './fake-stripe.ts';

/**
 * What a gateway knows that nobody may learn from it, and the data of its callers, which only some may. `accounts`: the
 * orchestrator tells the public ids of keys.
 */
export function plantSecrets(canaries: Canaries, accounts: boolean) {
  const secret = (name: string) => canaries.plant(name, NOWHERE);
  const data = {
    principal: canaries.plant('a principal', { must: ['log', 'orchestrator'], may: ['body', 'stripe'] }),
    body: canaries.plant('a value in a body', { must: ['body', 'orchestrator'] }),
    query: canaries.plant('a label in a query', { must: ['header', 'orchestrator'] }),
    idempotencyKey: canaries.plant('an idempotency key', { must: ['orchestrator'] }),
    file: canaries.plant('what a file holds', { must: ['body'] }),
    returnUrl: canaries.plant('a URL to return to', { must: ['stripe'] }),
    requestId: canaries.plant('a request id', { must: ['body', 'header', 'log', 'trace', 'orchestrator'] }),
    // Longer than a label may be, so that no server is asked for it.
    host: `${canaries.plant('what the orchestrator is called', { must: ['log'], may: ['trace'] })}${'x'.repeat(60)}.internal`,
    keyId: canaries.plant('the public id of a key', { [accounts ? 'must' : 'may']: ['log', 'trace'] }),
  };
  const tokens = [secret('the first static token'), secret('the second static token')];
  const ticketSecrets = ['the first', 'the second'].map((which) => secret(`${which} ticket secret`).padEnd(40, 'x'));
  const storeKeys = {
    R2_ACCESS_KEY_ID: canaries.plant('the access key of the store', { must: ['store'] }),
    R2_SECRET_ACCESS_KEY: secret('the secret key of the store'),
  };
  canaries.watch('the Stripe key', STRIPE_KEY, { must: ['stripe'] });
  for (const webhookSecret of WEBHOOK_SECRETS) canaries.watch('a webhook secret', webhookSecret, NOWHERE);
  return { data, tokens, ticketSecrets, storeKeys };
}
