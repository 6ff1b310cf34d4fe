import type { Log } from '../../shared/log.ts';
import type { Call } from '../context.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Orchestrator } from '../upstream/orchestrator.ts';
import type { PaidSession } from '../wire/billing-json.ts';

export interface TopUpParts {
  readonly orchestrator: Pick<Orchestrator, 'grantCredits'>;
  readonly metrics: Pick<Metrics, 'stripeEvents'>;
  readonly log: Log;
}

export type TopUps = ReturnType<typeof createTopUps>;

/** Gives the credits that a Checkout Session has paid for: once, however often and however concurrently it is told of. */
export function createTopUps({ orchestrator, metrics, log }: TopUpParts) {
  async function grant(sessionId: string, topUp: NonNullable<PaidSession['topUp']>, call: Call) {
    try {
      return await orchestrator.grantCredits(
        { ...topUp, reason: `topup:stripe:${sessionId}`, idempotencyKey: `stripe:${sessionId}` },
        call,
      );
    } catch (thrown) {
      metrics.stripeEvents.inc({ result: 'failed' });
      const error = toGatewayError(thrown);
      if (error.status >= 500 || error.code === 'CLIENT_CLOSED_REQUEST') throw error;
      // A refusal is not Stripe's fault, so it is ours: logged, shown on Stripe's dashboard, and tried again for days.
      const message = `the orchestrator refuses the credits of ${sessionId}: ${error.message}`;
      throw new GatewayError('INTERNAL', message, { cause: error });
    }
  }

  return {
    /** `session` undefined: an event that has nothing to do with credits. Throws what makes Stripe come again. */
    async credit(session: PaidSession | undefined, call: Call): Promise<{ credited: boolean; balance?: bigint }> {
      if (!session) {
        metrics.stripeEvents.inc({ result: 'ignored' });
        return { credited: false };
      }
      const { sessionId, topUp } = session;
      if (!topUp) {
        // Stripe would send the same bytes for days, and in the end switch off the endpoint that good events come to. Only
        // a person can mend this, so a person is told.
        metrics.stripeEvents.inc({ result: 'damaged' });
        const facts = { request_id: call.metadata['x-request-id'], session: sessionId };
        log.error(facts, 'a paid session has metadata that cannot be read: nothing was credited, do it by hand');
        return { credited: false };
      }
      const { balance, replayed } = await grant(sessionId, topUp, call);
      metrics.stripeEvents.inc({ result: replayed ? 'replayed' : 'credited' });
      return { credited: !replayed, balance };
    },
  };
}
