import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exitWith } from '../src/bin/program.ts';
import { EX_UNAVAILABLE, EX_USAGE, StartupError } from '../src/shared/startup-error.ts';
import { benchArtifacts } from './artifacts.ts';
import { benchAuth } from './auth.ts';
import { benchSse } from './sse.ts';
import { formatReport } from './support/format-report.ts';
import { describeMachine, readCommit } from './support/machine.ts';
import type { AreaReport, Effort } from './support/report.ts';
import { createStage, type Stage } from './support/stage.ts';

const NAME = 'bench';
const EX_LIMIT_PASSED = 1;
const DEFAULT_ROUNDS = 3;
const RESULTS = new URL('results/', import.meta.url);

const AREAS: Readonly<Record<string, (stage: Stage, effort: Effort) => Promise<AreaReport>>> = {
  sse: benchSse,
  auth: benchAuth,
  artifacts: benchArtifacts,
};

// npm run bench -- [area…] [--rounds N] [--quick]
try {
  const { areas, effort } = readArguments(process.argv.slice(2));
  if (process.platform !== 'linux') throw new StartupError('it reads /proc, so it needs Linux', EX_UNAVAILABLE);
  const stage = createStage();
  let passed = true;
  for (const area of areas) {
    const report = await AREAS[area]!(stage, effort);
    const saved = effort.quick ? 'Not saved: a quick run measures too little.' : `Saved: ${save(report)}`;
    process.stdout.write(`\n${formatReport(report)}\n${saved}\n`);
    passed &&= [...report.rows, ...(report.checks ?? [])].every((each) => each.passed);
  }
  process.exit(passed ? 0 : EX_LIMIT_PASSED);
} catch (error) {
  exitWith(NAME, error);
}

function readArguments(args: string[]): { areas: readonly string[]; effort: Effort } {
  const known = Object.keys(AREAS);
  const { positionals, values } = parse(args);
  const unknown = positionals.find((area) => !known.includes(area));
  if (unknown !== undefined) {
    throw new StartupError(`unknown area ${unknown}; there is: ${known.join(', ')}`, EX_USAGE);
  }
  const { quick = false } = values;
  const rounds = Number(values.rounds ?? (quick ? 1 : DEFAULT_ROUNDS));
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new StartupError(`--rounds is "${values.rounds}", but must be a whole number from 1`, EX_USAGE);
  }
  return { areas: positionals.length > 0 ? positionals : known, effort: { rounds, quick } };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { rounds: { type: 'string' }, quick: { type: 'boolean' } },
    });
  } catch (error) {
    const [sentence] = (error as Error).message.split('. ', 1);
    throw new StartupError(sentence!, EX_USAGE);
  }
}

/** Writes the report with all that it takes to read it later, in place of the last one of its area. Returns the path. */
function save({ area, title, workload, rows, checks, rounds, notes }: AreaReport): string {
  const file = fileURLToPath(new URL(`${area}.json`, RESULTS));
  const result = {
    area,
    title,
    date: new Date().toISOString(),
    commit: readCommit(),
    machine: describeMachine(),
    workload,
    rows,
    checks,
    rounds,
    notes,
  };
  mkdirSync(RESULTS, { recursive: true });
  const short = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value);
  writeFileSync(file, `${JSON.stringify(result, short, 2)}\n`);
  return file;
}
