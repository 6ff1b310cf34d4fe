import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type pg from 'pg';
import { ERRORS } from '../../src/gateway/errors.ts';
import { createMetrics as createGatewayMetrics } from '../../src/gateway/metrics.ts';
import { addDatabaseMetrics } from '../../src/orchestrator/database-metrics.ts';
import { createMetrics as createOrchestratorMetrics } from '../../src/orchestrator/metrics.ts';
import { createLog } from '../../src/shared/log.ts';

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

  it('has every metric of ours, and no other', async () => {
    const orchestrator = createOrchestratorMetrics().registry;
    const pool = {} as pg.Pool;
    addDatabaseMetrics({ registry: orchestrator, database: { pool }, pools: {}, log: createLog('test', 'silent') });
    const registries = [createGatewayMetrics().registry, orchestrator];
    const metrics = (await Promise.all(registries.map((registry) => registry.getMetricsAsJSON()))).flat();
    const ours = metrics.map(({ name }) => name).filter((name) => name.startsWith('foldforge_'));
    const listed = [...PAGE.matchAll(/^\| `(foldforge_\w+)/gm)].map(([, name]) => name);
    assert.deepEqual(listed.sort(), ours.sort());
  });
});
