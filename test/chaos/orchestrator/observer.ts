import pg from 'pg';

/** A name by which the run's own sessions are told from the orchestrators'. */
const SESSION_NAME = 'chaos';
const QUERY_MS = 5_000;

export type Observer = ReturnType<typeof createObserver>;

/** A session of the database that goes past all partitions, and is opened again when Postgres was away. */
export function createObserver(databaseUrl: string) {
  let client: pg.Client | undefined;

  async function connect(): Promise<pg.Client> {
    if (client) return client;
    const opened = new pg.Client({
      connectionString: databaseUrl,
      application_name: SESSION_NAME,
      connectionTimeoutMillis: QUERY_MS,
      query_timeout: QUERY_MS,
    });
    opened.on('error', () => {
      if (client === opened) client = undefined;
    });
    await opened.connect();
    client = opened;
    return opened;
  }

  async function close(): Promise<void> {
    const closing = client;
    client = undefined;
    await closing?.end();
  }

  return {
    /** Rejects while Postgres is away. */
    connect,
    async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
      try {
        return (await (await connect()).query<Row>(text, values)).rows;
      } catch (error) {
        await close().catch(() => {});
        throw error;
      }
    },
    close,
  };
}
