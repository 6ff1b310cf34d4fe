import type { GetBalanceResponse, ListLedgerResponse } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { exactInteger } from './exact-integer.ts';
import { rfc3339 } from './scalars.ts';

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
