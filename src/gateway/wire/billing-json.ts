import type { GetBalanceResponse, ListLedgerResponse } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { GatewayError } from '../errors.ts';
import { exactInteger } from './exact-integer.ts';
import { rfc3339 } from './scalars.ts';

const MAX_INT64 = 2n ** 63n - 1n;

export function balanceToJson({ balance }: GetBalanceResponse) {
  return { balance: exactInteger(balance) };
}

export function ledgerToJson({ entries }: ListLedgerResponse) {
  return {
    entries: entries.map((entry) => ({
      delta: exactInteger(entry.delta),
      reason: entry.reason,
      balance_after: exactInteger(entry.balanceAfter),
      created_at: rfc3339(entry.createdAt),
    })),
  };
}

/** The contract's CheckoutOrder. */
export interface CheckoutJson {
  readonly credits: number;
  readonly success_url: string;
  readonly cancel_url: string;
}

/** Throws INVALID_ARGUMENT for what looks like a URL to the contract and is none. */
export function checkoutFromJson({ credits, success_url, cancel_url }: CheckoutJson) {
  for (const [name, url] of Object.entries({ success_url, cancel_url })) {
    if (URL.canParse(url)) continue;
    const fault = { pointer: `/${name}`, message: 'must be a URL' };
    throw new GatewayError('INVALID_ARGUMENT', `${fault.pointer} ${fault.message}`, { faults: [fault] });
  }
  return { credits, successUrl: success_url, cancelUrl: cancel_url };
}

/** A Checkout Session that was opened here and is paid. */
export interface PaidSession {
  readonly sessionId: string;
  /** Undefined when the metadata cannot be read any more. */
  readonly topUp: { readonly principal: string; readonly amount: bigint } | undefined;
}

/** Undefined for every event of Stripe's that has nothing to do with credits: others may use the same account. */
export function paidSessionFromEvent(event: unknown): PaidSession | undefined {
  const { type, data } = membersOf(event);
  const { id, payment_status: status, metadata } = membersOf(membersOf(data).object);
  if (type !== 'checkout.session.completed' || status !== 'paid' || typeof id !== 'string' || id === '')
    return undefined;
  const { foldforge_principal: principal, foldforge_credits: credits } = membersOf(metadata);
  if (principal === undefined && credits === undefined) return undefined;
  const amount = readAmount(credits);
  const isReadable = typeof principal === 'string' && principal !== '' && amount !== undefined;
  return { sessionId: id, topUp: isReadable ? { principal, amount } : undefined };
}

/** What the webhook answers; `balance` in credits, where the event has to do with credits. */
export function receiptToJson({ credited, balance }: { credited: boolean; balance?: bigint }) {
  return { received: true, credited, ...(balance !== undefined && { balance: exactInteger(balance) }) };
}

function readAmount(text: unknown): bigint | undefined {
  if (typeof text !== 'string' || !/^[1-9]\d{0,18}$/.test(text)) return undefined;
  const amount = BigInt(text);
  return amount <= MAX_INT64 ? amount : undefined;
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
