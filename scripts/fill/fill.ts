import pg from 'pg';
import { createRandom } from '../../src/orchestrator/runners/mock/random.ts';
import { copyWorkflows } from './copy-rows.ts';
import { type MadeWorkflow, makeWorkflow } from './made-workflow.ts';

/** What one transaction writes, and what is in memory at a time for each connection. */
const WORKFLOWS_AT_A_TIME = 1_000;
/** While one of them writes, the next rows are made for the other. */
const CONNECTIONS = 2;
const YEAR_US = 365n * 24n * 3600n * 1_000_000n;
const TABLES = ['workflows', 'workflow_labels', 'steps', 'events'];

export interface FillOptions {
  /** How many workflows to add. */
  readonly workflows: number;
  /** About how many events they have together: each has at least as many as its steps need. */
  readonly events: number;
  /** The same seed makes the same workflows, but for their ids. */
  readonly seed?: string;
  /** Hears how far it is after each batch. */
  readonly onProgress?: (done: Filled) => void;
}

export interface Filled {
  readonly workflows: number;
  readonly steps: number;
  readonly events: number;
}

/**
 * Adds workflows to the database at `databaseUrl`, which the program has migrated, as if they had been submitted over the
 * past year, and has its statistics taken. Uses COPY, and a bounded amount of memory.
 */
export async function fillDatabase(databaseUrl: string, options: FillOptions): Promise<Filled> {
  const { workflows: total, events, seed = 'fill', onProgress } = options;
  const filled = { workflows: 0, steps: 0, events: 0 };
  const nowUs = BigInt(Date.now()) * 1000n;
  let next = 0;
  /** Events that are still to be given to the workflows so far. */
  let owed = 0;

  function makeBatch(): MadeWorkflow[] {
    const random = createRandom(`${seed} ${next}`);
    const batch: MadeWorkflow[] = [];
    for (const end = Math.min(next + WORKFLOWS_AT_A_TIME, total); next < end; next++) {
      owed += events / total;
      const createdUs = nowUs - YEAR_US + (YEAR_US * BigInt(next)) / BigInt(total) + BigInt(random.whole(0, 999));
      const made = makeWorkflow({ index: next, total, createdUs, events: Math.round(owed) }, random);
      owed -= made.events.length;
      batch.push(made);
    }
    return batch;
  }

  async function work(): Promise<void> {
    const client = await connect(databaseUrl);
    try {
      while (next < total) {
        const batch = makeBatch();
        await copyWorkflows(client, batch);
        filled.workflows += batch.length;
        filled.steps += batch.reduce((sum, { steps }) => sum + steps.length, 0);
        filled.events += batch.reduce((sum, made) => sum + made.events.length, 0);
        onProgress?.(filled);
      }
    } finally {
      await client.end();
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
  await settle(databaseUrl);
  return filled;
}

async function connect(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'foldforge-fill' });
  await client.connect();
  // What a crash loses can be made again.
  await client.query('set synchronous_commit = off');
  return client;
}

/** What the server would do by itself in its own time. */
async function settle(databaseUrl: string): Promise<void> {
  const client = await connect(databaseUrl);
  try {
    for (const table of TABLES) await client.query(`vacuum (analyze) ${table}`);
  } finally {
    await client.end();
  }
}
