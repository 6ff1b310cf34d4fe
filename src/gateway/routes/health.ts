import type { Lifecycle } from '../context.ts';
import type { Contract } from '../contract.ts';
import type { Metrics } from '../metrics.ts';
import { answerJson, answerText } from './answer.ts';

interface HealthParts {
  readonly contract: Contract;
  readonly lifecycle: Lifecycle;
  readonly metrics: Pick<Metrics, 'registry'>;
  readonly readiness: { isReady(): Promise<boolean> };
}

/** Handlers of the tag `health`: for probes, scrapers and tools; none needs a credential. */
export function createHealthRoutes({ contract, lifecycle, metrics, readiness }: HealthParts) {
  return {
    getHealth(): Response {
      return answerJson({ status: 'ok', version: contract.version });
    },

    async getReadiness(): Promise<Response> {
      const ready = !lifecycle.draining && (await readiness.isReady()) && !lifecycle.draining;
      return ready ? answerJson({ status: 'ready' }) : answerJson({ status: 'unavailable' }, 503);
    },

    async getMetrics(): Promise<Response> {
      const text = await metrics.registry.metrics();
      return answerText(text, { 'Content-Type': metrics.registry.contentType });
    },

    getOpenapiJson(): Response {
      return answerText(contract.json, { 'Content-Type': 'application/json' });
    },

    getOpenapiYaml(): Response {
      return answerText(contract.yaml, { 'Content-Type': 'application/yaml' });
    },
  };
}
