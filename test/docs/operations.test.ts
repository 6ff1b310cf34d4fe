import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { ERRORS } from '../../src/gateway/errors.ts';
import { createRegistries } from '../support/known-metrics.ts';

const PAGE = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');

describe('docs/operations.md', () => {
  it('has every error code with its status, and no other', () => {
    const listed = [...PAGE.matchAll(/^\| `([A-Z_]+)` +\| +(\d{3}) +\|/gm)].map(([, code, status]) => [
      code,
      Number(status),
    ]);
    const { CLIENT_CLOSED_REQUEST: _nobodyReadsIt, ...answered } = ERRORS;
    assert.deepEqual(
      Object.fromEntries(listed),
      Object.fromEntries(Object.entries(answered).map(([code, { status }]) => [code, status])),
    );
  });

  for (const [program, registry] of Object.entries(createRegistries())) {
    it(`has every metric of the ${program}, with its labels, and no other`, () => {
      const metrics = registry.getMetricsAsArray() as unknown as { name: string; labelNames: string[] }[];
      const ours = metrics
        .filter(({ name }) => name.startsWith('foldforge_'))
        .map(({ name, labelNames }) => (labelNames.length > 0 ? `${name}{${labelNames}}` : name));
      const [, both, gateway, orchestrator] = /^Both programs:$(.*)^Gateway:$(.*)^Orchestrator:$(.*)^## Logs$/ms.exec(
        PAGE,
      )!;
      const own = program === 'gateway' ? gateway! : orchestrator!;
      const listed = [...(both! + own).matchAll(/^\| `(foldforge_\w+(?:\{[\w,]+\})?)`/gm)].map(([, name]) => name);
      assert.deepEqual(listed.sort(), ours.sort());
    });
  }
});
