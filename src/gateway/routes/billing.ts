import type { RequestContext } from '../context.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import { balanceToJson, ledgerToJson } from '../wire/billing-json.ts';
import { answerJson } from './answer.ts';

/** Handlers of the tag `billing`. The static token has no principal, so it asks for the account of nobody. */
export function createBillingRoutes({ orchestrator }: { orchestrator: Orchestrator }) {
  return {
    async getBalance(c: RequestContext): Promise<Response> {
      const balance = await orchestrator.getBalance({ principal: c.var.caller.principal ?? '' }, c.var.call);
      return answerJson(balanceToJson(balance));
    },

    async listLedger(c: RequestContext): Promise<Response> {
      const limit = c.var.input.query.limit as number;
      const ledger = await orchestrator.listLedger({ principal: c.var.caller.principal ?? '', limit }, c.var.call);
      return answerJson(ledgerToJson(ledger));
    },
  };
}
