import { startExternalPostgres } from '../../test/support/external-postgres.ts';
import { answerMessages } from '../support/answer-messages.ts';

// A Postgres of the benchmark's own, over TCP, which may use other cores than the benchmark itself.

/** What the benchmark asks of it: an empty database. */
export interface DatabaseMessage {
  readonly create: true;
}

export interface DatabaseAnswer {
  readonly url: string;
  /** Such as "15.18, debian". */
  readonly version: string;
}

const postgres = await startExternalPostgres();

answerMessages<DatabaseMessage>(async (): Promise<DatabaseAnswer> => {
  return { url: await postgres.createDatabase(), version: `${postgres.version}, ${postgres.kind}` };
});
process.stdout.write(`${JSON.stringify({ address: `127.0.0.1:${new URL(postgres.url).port}` })}\n`);
