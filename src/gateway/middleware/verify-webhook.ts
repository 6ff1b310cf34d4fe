import { checkWebhookSignature } from '../access/webhook-signature.ts';
import type { Middleware } from '../context.ts';
import { toGatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Payments } from '../upstream/payments.ts';

interface VerifyWebhookParts {
  readonly payments: Pick<Payments, 'requireWebhookSecrets' | 'isSigned'>;
  readonly metrics: Pick<Metrics, 'stripeEvents'>;
}

/** Nothing of an event is believed before its bytes are known to be Stripe's. Stands behind what reads the body. */
export function createVerifyWebhook({ payments, metrics }: VerifyWebhookParts): Middleware {
  return function verifyWebhook(c) {
    const header = c.env.incoming.headers['stripe-signature'];
    try {
      checkWebhookSignature(payments, header?.toString(), c.env.facts.bodyBytes);
    } catch (error) {
      if (toGatewayError(error).code === 'UNAUTHENTICATED') metrics.stripeEvents.inc({ result: 'refused' });
      throw error;
    }
  };
}
