import { hash } from 'node:crypto';
import type { Answer, Lifecycle, RequestContext } from '../context.ts';
import type { Contract } from '../contract.ts';
import type { Exposition } from '../exposition.ts';
import type { DependencyChecks, Readiness } from '../upstream/readiness.ts';
import { matchesEntityTag } from '../wire/entity-tags.ts';
import { answerJson, answerText } from './answer.ts';

interface HealthParts {
  readonly contract: Contract;
  readonly lifecycle: Lifecycle;
  readonly metrics: Exposition;
  readonly readiness: Pick<Readiness, 'isReady' | 'checkNow'>;
}

/** Handlers of the tag `health`: for probes, scrapers and tools; none needs a credential. */
export function createHealthRoutes({ contract, lifecycle, metrics, readiness }: HealthParts) {
  const answerOpenapiJson = createDocumentAnswer(contract.json, 'application/json');
  const answerOpenapiYaml = createDocumentAnswer(contract.yaml, 'application/yaml');

  return {
    getHealth(): Answer {
      return answerJson({ status: 'ok', version: contract.version });
    },

    async getReadiness(c: RequestContext): Promise<Answer> {
      if (lifecycle.draining) return answerReadiness(false);
      if (c.env.facts.input.query.deep !== true)
        return answerReadiness((await readiness.isReady()) && !lifecycle.draining);
      const checks = await readiness.checkNow();
      return answerReadiness(!Object.values(checks).includes('failing') && !lifecycle.draining, checks);
    },

    async getMetrics(c: RequestContext): Promise<Answer> {
      const takesOpenMetrics = c.env.incoming.headers.accept?.includes('application/openmetrics-text') ?? false;
      const { contentType, read } = (takesOpenMetrics && metrics.openMetrics) || metrics;
      return answerText(await read(), 200, { 'Content-Type': contentType });
    },

    getOpenapiJson(c: RequestContext): Answer {
      return answerOpenapiJson(c.env.facts.input.headers['if-none-match']);
    },

    getOpenapiYaml(c: RequestContext): Answer {
      return answerOpenapiYaml(c.env.facts.input.headers['if-none-match']);
    },
  };
}

function answerReadiness(isReady: boolean, checks?: DependencyChecks): Answer {
  const status = isReady ? 'ready' : 'unavailable';
  return answerJson({ status, ...(checks && { checks }) }, isReady ? 200 : 503);
}

/**
 * Answers with a text that stays the same while the process lives: its bytes and its entity tag are made once. Whoever
 * keeps it must ask each time, and gets 304 while `ifNoneMatch` names it (RFC 9110, section 13.1.2).
 */
function createDocumentAnswer(text: string, contentType: string): (ifNoneMatch: string | undefined) => Answer {
  const body = Buffer.from(text);
  const etag = `"${hash('sha256', body, 'base64url')}"`;
  const validators = { ETag: etag, 'Cache-Control': 'no-cache' };
  const whole = answerText(body, 200, { 'Content-Type': contentType, ...validators });
  const unchanged = { status: 304, headers: validators };
  return (ifNoneMatch) => (matchesEntityTag(ifNoneMatch, etag) ? unchanged : whole);
}
