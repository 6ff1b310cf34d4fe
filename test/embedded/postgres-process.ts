import { startPostgres } from '../../src/embedded/postgres.ts';
import { createLog } from '../../src/shared/log.ts';
import { StartupError } from '../../src/shared/startup-error.ts';

// A process of its own for a server, to be killed by a test: node postgres-process.ts <dataDir>
// Prints the URL, or why there is none; ends the server properly when its standard input ends.
try {
  const log = createLog('test', 'silent');
  const postgres = await startPostgres({ dataDir: process.argv[2]!, log, fsync: false });
  console.log(postgres.url);
  process.stdin.resume().once('end', postgres.close);
} catch (error) {
  if (!(error instanceof StartupError)) throw error;
  console.log(`StartupError: ${error.message}`);
}
