import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { PreparingClient } from '../../src/orchestrator/store/preparing-client.ts';
import { startTestPostgres } from '../support/postgres.ts';

describe('statements that are prepared', () => {
  let postgres: Awaited<ReturnType<typeof startTestPostgres>>;
  before(async () => {
    postgres = await startTestPostgres();
  });
  after(() => postgres?.close());

  it('do not include each length of a list', async () => {
    const client = new PreparingClient(await postgres.createDatabase());
    await client.connect();
    try {
      for (let length = 1; length <= 300; length++) {
        const places = Array.from({ length }, (_, index) => `$${index + 1}`);
        await client.query(`select where '' in (${places.join(', ')})`, places);
      }
      const { rows } = await client.query('select count(*)::integer as kept from pg_prepared_statements');
      assert.ok(rows[0].kept > 0, 'short ones are kept');
      assert.ok(rows[0].kept <= 50, `${rows[0].kept} are kept`);
    } finally {
      await client.end();
    }
  });
});
