import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readGatewayConfig } from '../../src/gateway/config.ts';
import { StartupError } from '../../src/shared/startup-error.ts';

const LOOPBACK = { FOLDFORGE_GATEWAY__BIND_ADDR: '127.0.0.1:0' };
const read = (settings: Record<string, string>) =>
  readGatewayConfig({
    ...LOOPBACK,
    ...Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [`FOLDFORGE_GATEWAY__STRIPE_${name}`, value]),
    ),
  });

describe('the settings for Stripe', () => {
  it('may be left out, or be for the webhook alone', () => {
    const nothing = read({});
    assert.deepEqual([nothing.STRIPE_SECRET_KEY, nothing.STRIPE_WEBHOOK_SECRETS], ['', []]);
    assert.equal(nothing.STRIPE_ENDPOINT, 'https://api.stripe.com');
    assert.deepEqual(read({ WEBHOOK_SECRETS: 'whsec_a, whsec_b' }).STRIPE_WEBHOOK_SECRETS, ['whsec_a', 'whsec_b']);
    const both = read({ SECRET_KEY: 'sk_test_a', WEBHOOK_SECRETS: 'whsec_a', ENDPOINT: 'http://[::1]:12111/' });
    assert.deepEqual([both.STRIPE_SECRET_KEY, both.STRIPE_ENDPOINT], ['sk_test_a', 'http://[::1]:12111']);
  });

  const wrong: [what: string, settings: Record<string, string>, line: RegExp][] = [
    [
      'a key without a webhook secret',
      { SECRET_KEY: 'sk_canary' },
      /STRIPE_SECRET_KEY is set, so .*WEBHOOK_SECRETS must/,
    ],
    [
      'a key with a space',
      { SECRET_KEY: 'sk_ canary', WEBHOOK_SECRETS: 'whsec_a' },
      /STRIPE_SECRET_KEY must be visible/,
    ],
    ['an empty secret', { WEBHOOK_SECRETS: 'whsec_canary,' }, /STRIPE_WEBHOOK_SECRETS has an empty entry/],
    ['an endpoint with a path', { ENDPOINT: 'https://example.org/stripe' }, /STRIPE_ENDPOINT must have no path/],
    ['an endpoint that is no URL', { ENDPOINT: 'api.stripe.com' }, /STRIPE_ENDPOINT must be an http/],
    ['an empty endpoint', { ENDPOINT: '' }, /STRIPE_ENDPOINT must be an http/],
    ['an unknown name', { WEBHOOK_SECRET: 'whsec_canary' }, /WEBHOOK_SECRET is not a setting.*WEBHOOK_SECRETS\?/],
  ];
  for (const [what, settings, line] of wrong) {
    it(`are refused with ${what}, in one line, and without the secret`, () => {
      assert.throws(
        () => read(settings),
        (error: StartupError) => {
          assert.ok(error instanceof StartupError);
          assert.equal(error.exitCode, 78);
          assert.match(error.message, line);
          assert.doesNotMatch(error.message, /canary|\n/);
          return true;
        },
      );
    });
  }
});
