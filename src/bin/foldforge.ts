import { text } from 'node:stream/consumers';
import packageJson from '../../package.json' with { type: 'json' };
import { runCli } from '../client/cli.ts';
import { EX_IOERR } from '../client/exit-codes.ts';
import { StartupError } from '../shared/startup-error.ts';
import { abortOnSignals, exitWith } from './program.ts';

const NAME = 'foldforge';
/** What a shell says of a program that was writing to a pipe that nobody reads any more: 128 and SIGPIPE. */
const EXIT_NO_READER = 141;

const interrupted = abortOnSignals();
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_NO_READER);
  exitWith(NAME, new StartupError(`standard output cannot be written to: ${error.message}`, EX_IOERR));
});

try {
  const exitCode = await runCli({
    args: process.argv.slice(2),
    environment: process.env,
    version: packageJson.version,
    stdout: process.stdout,
    stderr: process.stderr,
    readStdin,
    signal: interrupted,
  });
  // Where a pipe is written to later, what was printed has to be through before the end.
  process.stdout.write('', (error) => error ?? process.exit(exitCode));
} catch (error) {
  exitWith(NAME, error);
}

/** Ends at once when it is interrupted: a terminal may never close its standard input. */
async function readStdin(): Promise<string> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  interrupted.addEventListener('abort', () => reject(interrupted.reason), { once: true });
  return Promise.race([text(process.stdin), stopped]);
}
