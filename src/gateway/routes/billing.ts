import type { TopUps } from '../access/top-ups.ts';
import type { Answer, Caller, RequestContext } from '../context.ts';
import { GatewayError } from '../errors.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import type { Payments } from '../upstream/payments.ts';
import {
  balanceToJson,
  type CheckoutJson,
  checkoutFromJson,
  ledgerToJson,
  paidSessionFromEvent,
  receiptToJson,
} from '../wire/billing-json.ts';
import { answerJson } from './answer.ts';

interface BillingParts {
  readonly orchestrator: Pick<Orchestrator, 'getBalance' | 'listLedger'>;
  readonly payments: Pick<Payments, 'openCheckout'>;
  readonly topUps: TopUps;
}

/** Handlers of the tag `billing`. The static token has no principal, so it asks for the account of nobody. */
export function createBillingRoutes({ orchestrator, payments, topUps }: BillingParts) {
  return {
    async getBalance(c: RequestContext): Promise<Answer> {
      const balance = await orchestrator.getBalance(
        { principal: c.env.facts.caller.principal ?? '' },
        c.env.facts.call,
      );
      return answerJson(balanceToJson(balance));
    },

    async listLedger(c: RequestContext): Promise<Answer> {
      const limit = c.env.facts.input.query.limit as number;
      const ledger = await orchestrator.listLedger(
        { principal: c.env.facts.caller.principal ?? '', limit },
        c.env.facts.call,
      );
      return answerJson(ledgerToJson(ledger));
    },

    async openCheckout(c: RequestContext): Promise<Answer> {
      const order = checkoutFromJson(c.env.facts.input.body as CheckoutJson);
      const url = await payments.openCheckout({ ...order, principal: accountOf(c.env.facts.caller) }, c.env.facts.call);
      return answerJson({ url });
    },

    async receiveStripeEvent(c: RequestContext): Promise<Answer> {
      const session = paidSessionFromEvent(c.env.facts.input.body);
      const receipt = await topUps.credit(session, c.env.facts.call);
      return answerJson(receiptToJson(receipt));
    },
  };
}

/** Credits must belong to somebody. Throws FAILED_PRECONDITION. */
function accountOf({ principal }: Caller): string {
  if (principal !== undefined) return principal;
  throw new GatewayError('FAILED_PRECONDITION', 'the static token has no account: buy credits with an API key');
}
