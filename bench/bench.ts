import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exitWith } from '../src/bin/program.ts';
import { EX_UNAVAILABLE, EX_USAGE, StartupError } from '../src/shared/startup-error.ts';
import { benchSse } from './sse.ts';
import { describeMachine, readCommit } from './support/machine.ts';
import { type AreaReport, formatReport } from './support/report.ts';
import { createStage, type Stage } from './support/stage.ts';

const NAME = 'bench';
const EX_LIMIT_PASSED = 1;
const DEFAULT_ROUNDS = 3;
const RESULTS = new URL('results/', import.meta.url);

const AREAS: Readonly<Record<string, (stage: Stage, rounds: number) => Promise<AreaReport>>> = { sse: benchSse };

// npm run bench -- [area…] [--rounds N]
try {
  const { areas, rounds } = readArguments(process.argv.slice(2));
  if (process.platform !== 'linux') throw new StartupError('it reads /proc, so it needs Linux', EX_UNAVAILABLE);
  const stage = createStage();
  let passed = true;
  for (const area of areas) {
    const report = await AREAS[area]!(stage, rounds);
    const file = save(report);
    process.stdout.write(`\n${formatReport(report)}\nSaved: ${file}\n`);
    passed &&= report.rows.every((row) => row.passed);
  }
  process.exit(passed ? 0 : EX_LIMIT_PASSED);
} catch (error) {
  exitWith(NAME, error);
}

function readArguments(args: string[]): { areas: readonly string[]; rounds: number } {
  const known = Object.keys(AREAS);
  const { positionals, values } = parse(args);
  const unknown = positionals.find((area) => !known.includes(area));
  if (unknown !== undefined) {
    throw new StartupError(`unknown area ${unknown}; there is: ${known.join(', ')}`, EX_USAGE);
  }
  const rounds = Number(values.rounds ?? DEFAULT_ROUNDS);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new StartupError(`--rounds is "${values.rounds}", but must be a whole number from 1`, EX_USAGE);
  }
  return { areas: positionals.length > 0 ? positionals : known, rounds };
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options: { rounds: { type: 'string' } } });
  } catch (error) {
    const [sentence] = (error as Error).message.split('. ', 1);
    throw new StartupError(sentence!, EX_USAGE);
  }
}

/** Writes the report with all that it takes to read it later, in place of the last one of its area. Returns the path. */
function save({ area, title, workload, rows, rounds, notes }: AreaReport): string {
  const file = fileURLToPath(new URL(`${area}.json`, RESULTS));
  const result = {
    area,
    title,
    date: new Date().toISOString(),
    commit: readCommit(),
    machine: describeMachine(),
    workload,
    rows,
    rounds,
    notes,
  };
  mkdirSync(RESULTS, { recursive: true });
  const short = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value);
  writeFileSync(file, `${JSON.stringify(result, short, 2)}\n`);
  return file;
}
