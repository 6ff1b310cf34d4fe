import type { BillingConfig } from '../config.ts';
import type { Connection } from '../store/database.ts';
import { setCharge, type WorkflowRow } from '../store/workflows.ts';
import { post } from './ledger.ts';

export interface Billing {
  /** What a submission of that many steps costs its owner, in credits; 0 when it is free. */
  readonly priceOf: (owner: string | undefined, stepCount: number) => bigint;
  /** Debits what a new workflow was charged, inside the submission's transaction. Throws INSUFFICIENT_CREDITS. */
  readonly charge: (connection: Connection, workflow: WorkflowRow) => Promise<void>;
  /** Debits again what a refund had given back, inside the retry's transaction. Throws INSUFFICIENT_CREDITS. */
  readonly chargeAgain: (connection: Connection, workflow: WorkflowRow, stepCount: number) => Promise<void>;
  /** Gives back what the workflow has cost, inside the transaction that fails it. */
  readonly refund: (connection: Connection, workflow: WorkflowRow) => Promise<void>;
}

export function createBilling({ enabled, pricePerStep }: BillingConfig): Billing {
  const priceOf: Billing['priceOf'] = (owner, stepCount) =>
    enabled && owner !== undefined ? pricePerStep * BigInt(stepCount) : 0n;

  const charge: Billing['charge'] = async (connection, { id, owner, charged, charges }) => {
    if (owner === null || charged === 0n) return;
    const reason = `debit:wf:${id}`;
    await post(connection, { principal: owner, delta: -charged, reason, idempotencyKey: `${reason}#${charges}` });
  };

  const chargeAgain: Billing['chargeAgain'] = async (connection, workflow, stepCount) => {
    const { id, owner, charged, charges } = workflow;
    const wasRefunded = charges > 0 && charged === 0n;
    const price = wasRefunded ? priceOf(owner ?? undefined, stepCount) : 0n;
    if (price === 0n) return;
    await charge(connection, { ...workflow, charged: price, charges: charges + 1 });
    await setCharge(connection, id, price, charges + 1);
  };

  const refund: Billing['refund'] = async (connection, { id, owner, charged, charges }) => {
    if (owner === null || charged === 0n) return;
    const reason = `refund:wf:${id}`;
    await post(connection, { principal: owner, delta: charged, reason, idempotencyKey: `${reason}#${charges}` });
    await setCharge(connection, id, 0n, charges);
  };

  return { priceOf, charge, chargeAgain, refund };
}
