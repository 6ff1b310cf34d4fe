import pg from 'pg';
import type { Connection, Database, Queryable } from '../../src/orchestrator/store/database.ts';

/** What was asked of the database. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Whether the server may plan it once for all values. */
  readonly prepared: boolean;
  /** What its transaction had set before. */
  readonly settings: readonly string[];
}

/** https://www.postgresql.org/docs/current/sql-explain.html, format json. */
export interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

const PLANNED = /^\s*(select|with|insert|update|delete)\b/i;
const SETTING = /^\s*set local\b/i;
const RUN = 'analyze, timing off, ';
const UNIQUE_VIOLATION = '23505';

/** The same database; every statement with a plan goes to `statements`, too. */
export function recordStatements(database: Database, statements: Statement[]): Database {
  const listenTo = <Q extends Queryable>(queryable: Q): Q => {
    const settings: string[] = [];
    return new Proxy(queryable, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        if (name !== 'query') return value.bind(target);
        return (...args: unknown[]) => {
          const [first, second] = args as [string | { text: string; values?: unknown[] }, unknown[] | undefined];
          const text = typeof first === 'string' ? first : first.text;
          const values = second ?? (typeof first === 'string' ? [] : (first.values ?? []));
          if (SETTING.test(text)) settings.push(text);
          // As PreparingClient does it.
          const prepared = typeof first === 'string' && values.length > 0;
          if (PLANNED.test(text)) statements.push({ text, values, prepared, settings: [...settings] });
          return value.apply(target, args);
        };
      },
    });
  };
  return {
    ...database,
    pool: listenTo(database.pool),
    transaction: (work) => database.transaction((connection: Connection) => work(listenTo(connection))),
  };
}

/**
 * How the server runs a statement, for these values and, when it may be planned once for all, for any, and what it came
 * across when it did, which is taken back. What cannot be done twice is only planned.
 */
export async function plansOf({ pool }: Pick<Database, 'pool'>, statement: Statement): Promise<PlanNode[]> {
  const { text, values, prepared, settings } = statement;
  const connection = await pool.connect();
  async function explain(options: string, question: string, given: readonly unknown[] = []): Promise<PlanNode> {
    await connection.query('begin');
    try {
      for (const setting of settings) await connection.query(setting);
      const { rows } = await connection.query({
        text: `explain (${options}format json) ${question}`,
        values: [...given],
      });
      return rows[0]['QUERY PLAN'][0].Plan;
    } finally {
      await connection.query('rollback');
    }
  }
  async function explainForAny(): Promise<PlanNode> {
    const asked = `execute asked(${values.map(literalOf).join(', ')})`;
    await connection.query(`set plan_cache_mode = force_generic_plan; prepare asked as ${text}`);
    try {
      return await explain(RUN, asked).catch(onlyPlanned(asked));
    } finally {
      await connection.query('deallocate asked; reset plan_cache_mode');
    }
  }
  const onlyPlanned = (question: string, given?: readonly unknown[]) => (error: { code?: string }) => {
    if (error.code !== UNIQUE_VIOLATION) throw error;
    return explain('', question, given);
  };
  try {
    const own = await explain(RUN, text, values).catch(onlyPlanned(text, values));
    return prepared ? [own, await explainForAny()] : [own];
  } finally {
    connection.release();
  }
}

function literalOf(value: unknown): string {
  return value === null || value === undefined ? 'null' : pg.escapeLiteral(textOf(value));
}

function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return `{${value.map((item) => JSON.stringify(textOf(item))).join(',')}}`;
  return String(value);
}

export interface Scan {
  readonly relation: string;
  /** Such as "Seq Scan" or "Index Scan". */
  readonly kind: string;
  /** That it came across, whether they were wanted or not; 0 when it was only planned. */
  readonly rows: number;
}

/** Every scan of a table in a plan. */
export function scansIn(node: PlanNode): Scan[] {
  const { 'Node Type': kind, 'Relation Name': relation, Plans = [] } = node;
  const loops = node['Actual Loops'] ?? 0;
  const passed = (node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0);
  const rows = (passed + (node['Rows Removed by Index Recheck'] ?? 0)) * loops;
  const own = relation !== undefined && / Scan$/.test(kind) ? [{ relation, kind, rows: Math.round(rows) }] : [];
  return [...own, ...Plans.flatMap(scansIn)];
}

/** The names of the indexes that a plan goes along. */
export function indexesIn(plan: PlanNode): string[] {
  const below = (plan.Plans ?? []).flatMap(indexesIn);
  const name = plan['Index Name'];
  return name === undefined ? below : [name, ...below];
}
