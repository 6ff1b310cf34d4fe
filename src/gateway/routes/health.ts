import type { Answer, Lifecycle } from '../context.ts';
import type { Contract } from '../contract.ts';
import type { Exposition } from '../metrics.ts';
import { answerJson, answerText } from './answer.ts';

interface HealthParts {
  readonly contract: Contract;
  readonly lifecycle: Lifecycle;
  readonly metrics: Exposition;
  readonly readiness: { isReady(): Promise<boolean> };
}

/** Handlers of the tag `health`: for probes, scrapers and tools; none needs a credential. */
export function createHealthRoutes({ contract, lifecycle, metrics, readiness }: HealthParts) {
  return {
    getHealth(): Answer {
      return answerJson({ status: 'ok', version: contract.version });
    },

    async getReadiness(): Promise<Answer> {
      const ready = !lifecycle.draining && (await readiness.isReady()) && !lifecycle.draining;
      return ready ? answerJson({ status: 'ready' }) : answerJson({ status: 'unavailable' }, 503);
    },

    async getMetrics(): Promise<Answer> {
      return answerText(await metrics.read(), 200, { 'Content-Type': metrics.contentType });
    },

    getOpenapiJson(): Answer {
      return answerText(contract.json, 200, { 'Content-Type': 'application/json' });
    },

    getOpenapiYaml(): Answer {
      return answerText(contract.yaml, 200, { 'Content-Type': 'application/yaml' });
    },
  };
}
