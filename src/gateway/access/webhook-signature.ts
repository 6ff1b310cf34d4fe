import { GatewayError } from '../errors.ts';
import { type Payments, SIGNATURE_TOLERANCE_SECONDS } from '../upstream/payments.ts';

interface Signature {
  /** Seconds since 1970. */
  readonly timestamp: number;
  /** The header again, with nothing but the time and the signatures that can be good. */
  readonly header: string;
}

/**
 * Throws UNAUTHENTICATED, saying why, unless Stripe has signed these bytes within 300 seconds of now, and NOT_CONFIGURED
 * while nobody can tell. `header` is the Stripe-Signature header.
 */
export function checkWebhookSignature(
  payments: Pick<Payments, 'requireWebhookSecrets' | 'isSigned'>,
  header: string | undefined,
  bytes: Buffer,
  nowMs = Date.now(),
): void {
  payments.requireWebhookSecrets();
  const signature = readSignature(header);
  const isSigned = payments.isSigned({ bytes, header: signature.header, receivedAtMs: nowMs });
  const ageSeconds = Math.floor(nowMs / 1000) - signature.timestamp;
  if (ageSeconds > SIGNATURE_TOLERANCE_SECONDS) {
    throw refused(`the signature is older than ${SIGNATURE_TOLERANCE_SECONDS} seconds`);
  }
  // The package looks only at the past.
  if (ageSeconds < -SIGNATURE_TOLERANCE_SECONDS) {
    throw refused(`the signature is from more than ${SIGNATURE_TOLERANCE_SECONDS} seconds in the future`);
  }
  if (!isSigned) throw refused('no webhook secret matches the signature');
}

/** `t=<seconds>,v1=<hex>`, with any number of signatures; those of other schemes say nothing. */
function readSignature(header: string | undefined): Signature {
  if (header === undefined) throw refused('the Stripe-Signature header is missing');
  const items = header.split(',').map((item) => item.trim());
  const times = items.filter((item) => item.startsWith('t='));
  const signatures = items.filter((item) => /^v1=[0-9a-f]{64}$/.test(item));
  if (times.length !== 1 || !/^t=\d{1,12}$/.test(times[0]!) || signatures.length === 0) {
    throw refused('the Stripe-Signature header is malformed: it must be t=<seconds>,v1=<hex SHA-256>');
  }
  return { timestamp: Number(times[0]!.slice(2)), header: [times[0], ...signatures].join() };
}

function refused(message: string): GatewayError {
  return new GatewayError('UNAUTHENTICATED', message, { headers: { 'WWW-Authenticate': 'Stripe-Signature' } });
}
