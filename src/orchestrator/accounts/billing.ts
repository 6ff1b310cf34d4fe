import type { BillingConfig } from '../config.ts';
import type { Connection } from '../store/database.ts';
import { setCharge, type WorkflowRow } from '../store/workflows.ts';
import { post } from './ledger.ts';

export interface Billing {
  /** Debits the owner for every step, inside the submission's transaction. Throws INSUFFICIENT_CREDITS. */
  readonly charge: (connection: Connection, workflow: WorkflowRow, stepCount: number) => Promise<void>;
  /** Debits again what a refund had given back, inside the retry's transaction. Throws INSUFFICIENT_CREDITS. */
  readonly chargeAgain: (connection: Connection, workflow: WorkflowRow, stepCount: number) => Promise<void>;
  /** Gives back what the workflow has cost, inside the transaction that fails it. */
  readonly refund: (connection: Connection, workflow: WorkflowRow) => Promise<void>;
}

export function createBilling({ enabled, pricePerStep }: BillingConfig): Billing {
  const charge: Billing['charge'] = async (connection, { id, owner, charges }, stepCount) => {
    const price = pricePerStep * BigInt(stepCount);
    if (!enabled || owner === null || price === 0n) return;
    const reason = `debit:wf:${id}`;
    const count = charges + 1;
    await post(connection, { principal: owner, delta: -price, reason, idempotencyKey: `${reason}#${count}` });
    await setCharge(connection, id, price, count);
  };

  const chargeAgain: Billing['chargeAgain'] = async (connection, workflow, stepCount) => {
    const wasRefunded = workflow.charges > 0 && workflow.charged === 0n;
    if (wasRefunded) await charge(connection, workflow, stepCount);
  };

  const refund: Billing['refund'] = async (connection, { id, owner, charged, charges }) => {
    if (owner === null || charged === 0n) return;
    const reason = `refund:wf:${id}`;
    await post(connection, { principal: owner, delta: charged, reason, idempotencyKey: `${reason}#${charges}` });
    await setCharge(connection, id, 0n, charges);
  };

  return { charge, chargeAgain, refund };
}
