import { createBilling } from '../../src/orchestrator/accounts/billing.ts';
import { readOrchestratorConfig } from '../../src/orchestrator/config.ts';
import { createAcceptance } from '../../src/orchestrator/engine/acceptance.ts';
import { createStepQueue } from '../../src/orchestrator/engine/step-queue.ts';
import { type Database, openDatabase, type Queryable } from '../../src/orchestrator/store/database.ts';
import { createLog } from '../../src/shared/log.ts';
import type { Asked, Middle } from './questions.ts';

const ID_COUNT = 2_000;

export interface Subject extends Asked {
  readonly close: () => Promise<void>;
}

/** The parts of the program that answer the questions, on a database that was filled. `through` may listen in. */
export async function openSubject(
  databaseUrl: string,
  through: (database: Database) => Database = (database) => database,
): Promise<Subject> {
  const opened = await openDatabase(databaseUrl, () => {});
  const database = through(opened);
  const { billing, limits } = readOrchestratorConfig({});
  const queue = await createStepQueue({ databaseUrl, database, limits, log: createLog('bench', 'warn') });
  const acceptance = createAcceptance({
    database,
    queue,
    billing: createBilling(billing),
    findFault: () => undefined,
    metrics: { workflowSubmitted: () => {} },
  });
  const ids = await sampleIds(opened.pool);
  const tokens = new Map<string, string>();
  let asked = 0;
  return {
    db: database.pool,
    acceptance,
    anyId: () => ids[asked++ % ids.length]!,
    async middleOf(middle) {
      const name = JSON.stringify(middle);
      const token = tokens.get(name) ?? (await findMiddle(opened.pool, middle));
      tokens.set(name, token);
      return token;
    },
    async close() {
      await queue.close();
      await opened.close();
    },
  };
}

/** Ids from all over the table, in no order. */
async function sampleIds(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    `select id from (
       select id from workflows where state in ('SUCCEEDED', 'FAILED', 'CANCELLED') order by md5(id) limit $1) as sample`,
    [ID_COUNT],
  );
  return rows.map(({ id }) => id);
}

/** A page token as the list makes it. */
async function findMiddle(db: Queryable, { principal, labels }: Middle): Promise<string> {
  const { rows } = await db.query<{ createdUs: bigint; id: string }>(
    `with selected as (
       select id, created_at from workflows where ($1::text is null or owner = $1) and labels @> $2)
     select (extract(epoch from created_at) * 1000000)::bigint as "createdUs", id from selected
     order by created_at desc, id desc limit 1 offset (select count(*) / 2 from selected)`,
    [principal ?? null, JSON.stringify(labels)],
  );
  const { createdUs, id } = rows[0]!;
  return Buffer.from(`${createdUs}.${id}`).toString('base64url');
}
