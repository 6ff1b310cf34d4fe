import type { Log } from '../../shared/log.ts';
import type { Metrics } from '../metrics.ts';
import type { TransportObserver } from './transport.ts';

/** Counts and logs what becomes of the orchestrators' addresses. */
export function createAddressObserver({
  metrics,
  log,
}: {
  readonly metrics: Pick<
    Metrics,
    'upstreamRetries' | 'upstreamRetriesRefused' | 'upstreamEndpoints' | 'upstreamBreakerOpenings'
  >;
  readonly log: Log;
}): TransportObserver {
  return {
    onCounts(counts) {
      for (const [state, count] of Object.entries(counts)) metrics.upstreamEndpoints.set({ state }, count);
    },
    onLeftOut(address, isStill) {
      metrics.upstreamBreakerOpenings.inc();
      if (!isStill) log.warn({ address }, 'an orchestrator is left out: it answers badly');
    },
    onBack: (address) => log.info({ address }, 'an orchestrator that was left out is asked again'),
    onUnreachable: (address, error) => log.warn({ address, err: error }, 'an orchestrator cannot be reached'),
    onReached: (address) => log.info({ address }, 'an orchestrator is reached again'),
    onUnresolved: (host, error) => log.warn({ host, err: error }, "an orchestrator's name cannot be looked up"),
    onResolved: (host) => log.info({ host }, "an orchestrator's name is found again"),
    onRetry: (method) => metrics.upstreamRetries.inc({ method }),
    onRetryRefused: () => metrics.upstreamRetriesRefused.inc(),
  };
}
