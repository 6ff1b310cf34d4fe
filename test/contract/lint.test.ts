import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { createConfig, lintFromString } from '@redocly/openapi-core';

const YAML = readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8');

/** What Redocly's recommended rules, none of them switched off, say of an OpenAPI document: errors and warnings. */
async function lint(yaml: string): Promise<string[]> {
  const config = await createConfig({ extends: ['recommended'] });
  const problems = await lintFromString({ source: yaml, absoluteRef: '/openapi.yaml', config });
  return problems.map(({ ruleId, message, location }) => `${ruleId} at ${location[0]?.pointer}: ${message}`);
}

describe('openapi.yaml by the rules of Redocly', () => {
  it('is without a fault', async () => {
    assert.deepEqual(await lint(YAML), []);
  });

  it('would be told of an error, and of a warning', async () => {
    const spoiled = `${YAML.replace(/^ +summary: List your workflows\n/m, '')}    Forgotten:\n      type: string\n`;
    const rules = (await lint(spoiled)).map((problem) => problem.split(' ', 1)[0]);
    assert.deepEqual(rules.sort(), ['no-unused-components', 'operation-summary']);
  });
});
