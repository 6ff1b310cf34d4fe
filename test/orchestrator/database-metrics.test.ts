import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type pg from 'pg';
import { Registry } from 'prom-client';
import { addDatabaseMetrics } from '../../src/orchestrator/database-metrics.ts';
import { createLog } from '../../src/shared/log.ts';

/** A database that answers later, with one queue and so many orchestrators; as pg's does, its pool counts who waits. */
function startScene(answer: () => number) {
  const pool = {
    totalCount: 2,
    idleCount: 2,
    waitingCount: 0,
    async query(question: string | { text: string }) {
      pool.waitingCount++;
      await new Promise((resolve) => setImmediate(resolve));
      pool.waitingCount--;
      const count = answer();
      const text = typeof question === 'string' ? question : question.text;
      return { rows: /executors/.test(text) ? [{ count }] : [{ queue: 'steps', state: 'waiting', entries: 7 }] };
    },
  };
  const registry = new Registry();
  const real = pool as unknown as pg.Pool;
  addDatabaseMetrics({ registry, database: { pool: real }, pools: { calls: real }, log: createLog('test', 'silent') });
  return async (name: string) => new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, 'm').exec(await registry.metrics())?.[1];
}

describe('the metrics of the database', () => {
  it('tell of the orchestrators as they are at this scrape, not as they were at the one before', async () => {
    assert.equal(await startScene(() => 3)('foldforge_orchestrators_alive'), '3');
  });

  it('tell nothing of them while the database is away', async () => {
    const scrape = startScene(() => {
      throw new Error('away');
    });
    assert.equal(await scrape('foldforge_orchestrators_alive'), undefined);
  });

  it('do not count the questions of the scrape itself among those who wait', async () => {
    assert.equal(await startScene(() => 1)('foldforge_database_waiting'), '0');
  });
});
