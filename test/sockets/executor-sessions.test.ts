import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openDatabase } from '../../src/orchestrator/store/database.ts';
import { endSessionsOf, enrolExecutor } from '../../src/orchestrator/store/executors.ts';
import { migrate } from '../../src/orchestrator/store/migrate.ts';
import { MIGRATIONS } from '../../src/orchestrator/store/migrations.ts';
import { createSessionName } from '../../src/orchestrator/store/session-name.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

describe('the sessions of a dead executor', () => {
  let postgres: TestPostgres;
  before(async () => {
    postgres = await startTestPostgres();
  });
  after(() => postgres?.close());

  it('are ended, also the latest, but not those of a process that is being started under its name', async () => {
    const url = await postgres.createDatabase();
    const [name, nextName] = [createSessionName('pod-0'), createSessionName('pod-0')];
    const reaper = await openDatabase(url, () => {});
    const dead = await openDatabase(url, () => {}, { name: name('calls') });
    const opened = [reaper, dead];
    try {
      await migrate(reaper);
      const held = await dead.pool.connect();
      await enrolExecutor(reaper.pool, 'pod-0', MIGRATIONS.length);
      const late = await openDatabase(url, () => {}, { name: name('engine') });
      opened.push(late);
      const heldLate = await late.pool.connect();
      const fresh = await openDatabase(url, () => {}, { name: nextName('calls') });
      opened.push(fresh);
      const young = await fresh.pool.connect();
      try {
        await endSessionsOf(reaper.pool, 'pod-0');
        // The signal takes a moment to arrive.
        await assert.rejects(held.query('select pg_sleep(5)'));
        await assert.rejects(heldLate.query('select pg_sleep(5)'));
        await young.query('select 1');
      } finally {
        for (const connection of [held, heldLate, young]) connection.release(true);
      }
    } finally {
      await Promise.all(opened.map((database) => database.close()));
    }
  });
});
