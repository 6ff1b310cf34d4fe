import { createHmac, randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** Not of the form of a real key: nothing can tell that it is one but by knowing it. */
export const STRIPE_KEY = 'canary51NoSuchKey';
export const WEBHOOK_SECRETS = ['whsec_canaryOld', 'whsec_canaryNew'] as const;

/** What the gateway needs to use the stand-in. */
export function stripeSettings(fake: { readonly url: string }) {
  return {
    STRIPE_SECRET_KEY: STRIPE_KEY,
    STRIPE_WEBHOOK_SECRETS: WEBHOOK_SECRETS.join(),
    STRIPE_ENDPOINT: fake.url,
  };
}

/** An error as Stripe tells it, any other text, silence, a connection that breaks, or an answer that breaks off. */
export type Failure =
  | { readonly status: number; readonly error: Readonly<Record<string, string>> }
  | { readonly status: number; readonly text: string; readonly headers?: Readonly<Record<string, string>> }
  | 'hang'
  | 'reset'
  | 'cut';

export interface StripeRequest {
  readonly headers: IncomingHttpHeaders;
  readonly form: Readonly<Record<string, string>>;
  /** The one who asked has hung up before the answer. */
  gone: boolean;
}

export type Session = ReturnType<typeof sessionOf>;
export type FakeStripe = Awaited<ReturnType<typeof startFakeStripe>>;

/** What this version of Stripe's API takes of what we may send. */
const PARAMETERS =
  /^(?:mode|success_url|cancel_url|client_reference_id|metadata\[\w+\]|allowed_payment_method_types\[0\]|line_items\[0\]\[(?:quantity|price_data\]\[(?:currency|unit_amount|product_data\]\[name))\])$/;

/** A stand-in for the part of Stripe's API that opens Checkout Sessions, over real HTTP. */
export async function startFakeStripe() {
  const requests: StripeRequest[] = [];
  const sessions = new Map<string, Session>();
  const failures: (Failure | undefined)[] = [];

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = Object.fromEntries(new URLSearchParams(await text(incoming)));
    const request: StripeRequest = { headers: incoming.headers, form, gone: false };
    response.once('close', () => {
      request.gone = !response.writableFinished;
    });
    requests.push(request);
    const failure = failures.length > 1 ? failures.shift() : failures[0];
    if (failure === 'hang') return;
    if (failure === 'reset') return void incoming.socket.resetAndDestroy();
    if (failure === 'cut') {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 1000 }).write('{"id":');
      return void setImmediate(() => incoming.socket.destroy());
    }
    if (failure && 'text' in failure) return void response.writeHead(failure.status, failure.headers).end(failure.text);
    const refusal = failure ?? refusalOf(incoming, form);
    if (refusal) return send(response, refusal.status, { error: refusal.error });
    const idempotencyKey = String(incoming.headers['idempotency-key']);
    const session = sessions.get(idempotencyKey) ?? sessionOf(form);
    sessions.set(idempotencyKey, session);
    send(response, 200, session);
  }

  const server = createServer((incoming, response) => void answer(incoming, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    /** Sessions that were opened, in order. */
    sessions: () => [...sessions.values()],
    /** What becomes of the next requests, one after the other; the last of it stays. Undefined: the right answer. */
    fail(...next: (Failure | undefined)[]): void {
      failures.splice(0, failures.length, ...next);
    },
    close(): Promise<void> {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function refusalOf({ method, url, headers }: IncomingMessage, form: StripeRequest['form']) {
  const invalid = (param: string, message: string, code: string) => {
    return { status: 400, error: { type: 'invalid_request_error', param, message, code } };
  };
  if (headers.authorization !== `Bearer ${STRIPE_KEY}`) {
    return {
      status: 401,
      error: { type: 'invalid_request_error', message: `Invalid API Key: ${headers.authorization}` },
    };
  }
  if (method !== 'POST' || url !== '/v1/checkout/sessions') {
    return { status: 404, error: { type: 'invalid_request_error', message: `Unrecognized URL (${method}: ${url})` } };
  }
  if (headers['content-type'] !== 'application/x-www-form-urlencoded') {
    return invalid('', 'not a form', 'parameter_invalid');
  }
  if (!headers['idempotency-key']) return invalid('', 'the stand-in wants an idempotency key', 'parameter_missing');
  const unknown = Object.keys(form).find((name) => !PARAMETERS.test(name));
  if (unknown) return invalid(unknown, `Received unknown parameter: ${unknown}`, 'parameter_unknown');
  for (const name of ['success_url', 'cancel_url']) {
    if (new URL(form[name] ?? '').hostname === 'refused') return invalid(name, 'Not a valid URL', 'url_invalid');
  }
  return undefined;
}

/** As Stripe shapes it, with its amounts and its page. */
function sessionOf(form: StripeRequest['form']) {
  const id = `cs_test_${randomUUID().replaceAll('-', '')}`;
  const metadata = Object.entries(form).flatMap(([name, value]) => {
    const [, key] = /^metadata\[(\w+)\]$/.exec(name) ?? [];
    return key ? [[key, value]] : [];
  });
  return {
    id,
    object: 'checkout.session',
    amount_total: Number(form['line_items[0][price_data][unit_amount]']),
    currency: form['line_items[0][price_data][currency]'],
    client_reference_id: form.client_reference_id ?? null,
    metadata: Object.fromEntries(metadata) as Record<string, string>,
    mode: form.mode,
    payment_status: 'unpaid',
    status: 'open',
    url: `https://checkout.stripe.com/c/pay/${id}`,
  };
}

/** The body of the event that Stripe delivers when a session is completed; `members` replaces what the session has. */
export function completedEvent(session: object, members: object = {}, type = 'checkout.session.completed'): string {
  const object = { ...session, status: 'complete', payment_status: 'paid', url: null, ...members };
  return JSON.stringify({ id: `evt_${randomUUID()}`, object: 'event', type, data: { object } }, undefined, 2);
}

/** The Stripe-Signature header of a body; `at` in seconds since 1970. */
export function signWebhook(
  body: string | Buffer,
  secret: string = WEBHOOK_SECRETS[0],
  { at = Math.floor(Date.now() / 1000), scheme = 'v1' } = {},
): string {
  const signature = createHmac('sha256', secret).update(`${at}.`).update(body).digest('hex');
  return `t=${at},${scheme}=${signature}`;
}

function send(response: ServerResponse, status: number, body: object): void {
  const headers = { 'Content-Type': 'application/json', 'Request-Id': 'req_standIn' };
  response.writeHead(status, headers).end(JSON.stringify(body));
}
