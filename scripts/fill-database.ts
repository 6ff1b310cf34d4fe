import { parseArgs } from 'node:util';
import { exitWith } from '../src/bin/program.ts';
import { openDatabase } from '../src/orchestrator/store/database.ts';
import { hasSchema } from '../src/orchestrator/store/migrate.ts';
import { EX_USAGE, StartupError } from '../src/shared/startup-error.ts';
import { type Filled, fillDatabase } from './fill/fill.ts';

const NAME = 'fill';
const USAGE = 'usage: npm run fill -- --url postgresql://… [--workflows N] [--events N] [--seed TEXT]';
const TELL_INTERVAL_MS = 2_000;

// npm run fill -- --url postgresql://… [--workflows 1000000] [--events 10000000] [--seed TEXT]
try {
  const { url, ...options } = readFillArguments(process.argv.slice(2), process.env.FOLDFORGE_ORCH__DATABASE_URL);
  await assertMigrated(url);
  const startedAt = performance.now();
  let toldAt = startedAt;
  const tell = ({ workflows, steps, events }: Filled) => {
    const seconds = (performance.now() - startedAt) / 1000;
    const rate = Math.round((workflows + steps + events) / seconds);
    process.stdout.write(`${workflows} workflows, ${steps} steps, ${events} events; ${rate} rows/s\n`);
  };
  const onProgress = (filled: Filled) => {
    if (performance.now() - toldAt < TELL_INTERVAL_MS) return;
    toldAt = performance.now();
    tell(filled);
  };
  tell(await fillDatabase(url, { ...options, onProgress }));
} catch (error) {
  exitWith(NAME, error);
}

function readFillArguments(args: string[], defaultUrl: string | undefined) {
  const { url = defaultUrl, workflows, events, seed } = parse(args);
  if (!url) throw new StartupError(`there is no --url, and no FOLDFORGE_ORCH__DATABASE_URL; ${USAGE}`, EX_USAGE);
  const workflowCount = readCount('--workflows', workflows);
  return {
    url,
    workflows: workflowCount,
    events: events === undefined ? 10 * workflowCount : readCount('--events', events),
    seed,
  };
}

function parse(args: string[]) {
  const text = { type: 'string' } as const;
  try {
    const options = { url: text, workflows: { ...text, default: '1000000' }, events: text, seed: text };
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new StartupError(`${(error as Error).message}; ${USAGE}`, EX_USAGE, { cause: error });
  }
}

function readCount(name: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new StartupError(`${name} is "${text}", but must be a whole number from 1 to 999999999`, EX_USAGE);
}

async function assertMigrated(url: string): Promise<void> {
  const database = await openDatabase(url, () => {});
  const found = await hasSchema(database).finally(database.close);
  if (!found) throw new StartupError('the database has no tables yet; start an orchestrator on it once', EX_USAGE);
}
