import { createHmac } from 'node:crypto';
import type { Tracing } from '../../shared/tracing.ts';
import type { Call } from '../context.ts';
import { GatewayError } from '../errors.ts';
import { createPaymentSpans } from './http-spans.ts';
import { fromStripe } from './payment-errors.ts';

/** How old, or how far ahead of our clock, a signature may be. */
export const SIGNATURE_TOLERANCE_SECONDS = 300;

/** Attempts after the first that the package makes by itself, where the time allows, under one idempotency key. */
const RETRIES = 2;

export interface PaymentSettings {
  /** Empty: nothing can be bought. */
  readonly secretKey: string;
  /** Any of them may have signed an event; none: no event is believed. */
  readonly webhookSecrets: readonly string[];
  /** http:// or https://, without a path. */
  readonly endpoint: string;
  /** Undefined: calls have no spans. */
  readonly tracing?: Tracing | undefined;
}

export interface CheckoutOrder {
  /** Who gets the credits. */
  readonly principal: string;
  /** One credit is one US cent. */
  readonly credits: number;
  readonly successUrl: string;
  readonly cancelUrl: string;
}

/** The bytes of an event as they came, the Stripe-Signature header, and when they came (milliseconds since 1970). */
export interface SignedEvent {
  readonly bytes: Buffer;
  readonly header: string;
  readonly receivedAtMs: number;
}

export interface Payments {
  /**
   * Opens a Checkout Session and answers with the URL of its page. Throws NOT_CONFIGURED, UNAVAILABLE,
   * INVALID_ARGUMENT for what Stripe refuses of the order, or PAYMENT_PROVIDER_ERROR.
   */
  readonly openCheckout: (order: CheckoutOrder, call: Call) => Promise<string>;
  /** Throws NOT_CONFIGURED when there is no webhook secret. */
  readonly requireWebhookSecrets: () => void;
  /** Whether one of the webhook secrets has signed the event, and not too long ago. */
  readonly isSigned: (event: SignedEvent) => boolean;
}

/** Stripe, through its own package, which is loaded only when there is something to do for it. */
export async function createPayments(settings: PaymentSettings): Promise<Payments> {
  const { secretKey, webhookSecrets, endpoint, tracing } = settings;
  if (secretKey === '' && webhookSecrets.length === 0) {
    return { openCheckout: notSold, requireWebhookSecrets: notBelieved, isSigned: notBelieved };
  }
  const { Stripe } = await import('stripe');
  const { protocol, hostname, port } = new URL(endpoint);
  const { signature } = Stripe.webhooks;
  const startSpan = tracing && createPaymentSpans(tracing, endpoint);
  // Over the bytes: the package would decode them first, which some changes of a byte survive.
  const overBytes = Object.assign(Stripe.createNodeCryptoProvider(), {
    computeHMACSignature: (content: string, secret: string) =>
      createHmac('sha256', secret).update(content, 'latin1').digest('hex'),
  });

  /** For one request: the package takes no signal, but a fetch of our own, which one deadline and the client end. */
  function connect(over: AbortSignal, timeLeftMs: number, { metadata }: Call, onStatus: (status: number) => void) {
    const httpClient = Stripe.createFetchHttpClient(async (url, init) => {
      const signal = AbortSignal.any([over, ...(init?.signal ? [init.signal] : [])]);
      const endSpan = startSpan?.(String(url), metadata);
      try {
        // The key goes to nobody but the endpoint.
        const response = await fetch(url, { ...init, redirect: 'manual', signal });
        endSpan?.(response.status);
        onStatus(response.status);
        return response;
      } catch (error) {
        endSpan?.(undefined, error);
        throw error;
      }
    });
    return new Stripe(secretKey, {
      protocol: protocol === 'http:' ? 'http' : 'https',
      host: hostname,
      port: port || (protocol === 'http:' ? '80' : '443'),
      httpClient,
      timeout: timeLeftMs,
      maxNetworkRetries: RETRIES,
      telemetry: false,
    });
  }

  async function openCheckout({ principal, credits, successUrl, cancelUrl }: CheckoutOrder, call: Call) {
    const timeLeftMs = Math.max(1, Math.floor(call.timeLeftMs()));
    const over = AbortSignal.any([call.signal, AbortSignal.timeout(timeLeftMs)]);
    let status: number | undefined;
    const onStatus = (latest: number) => {
      status = latest;
    };
    try {
      over.throwIfAborted();
      const opening = connect(over, timeLeftMs, call, onStatus).checkout.sessions.create({
        mode: 'payment',
        // Other methods may be paid days after the session is completed, and only its completion is credited.
        allowed_payment_method_types: ['card'],
        line_items: [
          {
            quantity: 1,
            price_data: { currency: 'usd', unit_amount: credits, product_data: { name: 'FoldForge credits' } },
          },
        ],
        client_reference_id: principal,
        metadata: { foldforge_principal: principal, foldforge_credits: String(credits) },
        success_url: successUrl,
        cancel_url: cancelUrl,
      });
      // The package would wait before it notices that there is no time for another attempt.
      const { url } = await Promise.race([opening, abortOf(over)]);
      if (!url) throw new Error('the session has no URL');
      return url;
    } catch (error) {
      throw fromStripe(error, { call, over, status, secrets: [secretKey, ...webhookSecrets] });
    }
  }

  function isSigned({ bytes, header, receivedAtMs }: SignedEvent): boolean {
    const content = bytes.toString('latin1');
    return webhookSecrets.some((secret) => {
      try {
        return signature!.verifyHeader(content, header, secret, SIGNATURE_TOLERANCE_SECONDS, overBytes, receivedAtMs);
      } catch (error) {
        if (error instanceof Stripe.errors.StripeSignatureVerificationError) return false;
        throw error;
      }
    });
  }

  return {
    openCheckout: secretKey === '' ? notSold : openCheckout,
    requireWebhookSecrets: webhookSecrets.length === 0 ? notBelieved : () => undefined,
    isSigned,
  };
}

async function notSold(): Promise<never> {
  throw new GatewayError('NOT_CONFIGURED', 'STRIPE_SECRET_KEY is not set');
}

function notBelieved(): never {
  throw new GatewayError('NOT_CONFIGURED', 'STRIPE_WEBHOOK_SECRETS is not set');
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
