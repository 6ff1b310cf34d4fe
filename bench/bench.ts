import { exitWith } from '../src/bin/program.ts';
import { EX_UNAVAILABLE, StartupError } from '../src/shared/startup-error.ts';
import { readArguments } from './arguments.ts';
import { benchArtifacts } from './artifacts.ts';
import { benchAuth } from './auth.ts';
import { compareArea, SHORT_COMMIT } from './compare.ts';
import { type Checkout, openCheckout } from './compare-checkout.ts';
import { benchGrowth } from './growth.ts';
import { benchOverload } from './overload.ts';
import { benchReplicas } from './replicas.ts';
import { benchSse } from './sse.ts';
import { benchStart } from './start.ts';
import { formatReport } from './support/format-report.ts';
import { readCommit } from './support/machine.ts';
import type { Area, AreaReport, Effort } from './support/report.ts';
import { saveReport } from './support/save-report.ts';
import { createSharedStage, createStage } from './support/stage.ts';
import { benchTransports } from './transports.ts';
import { benchUnary } from './unary.ts';
import { benchWorkers } from './workers.ts';

const NAME = 'bench';
const EX_LIMIT_PASSED = 1;
const EX_INTERRUPTED = 130;

const AREAS: Readonly<Record<string, Area>> = {
  unary: benchUnary,
  transports: benchTransports,
  sse: benchSse,
  auth: benchAuth,
  artifacts: benchArtifacts,
  workers: benchWorkers,
  start: benchStart,
  replicas: benchReplicas,
  overload: benchOverload,
  growth: benchGrowth,
};

// npm run bench -- [area…] [--rounds N] [--quick] [--compare REF]
// What it starts and checks out goes when it exits, so signals, too, must let it exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(EX_INTERRUPTED));
try {
  const { areas, effort, compare } = readArguments(process.argv.slice(2), Object.keys(AREAS));
  if (process.platform !== 'linux') throw new StartupError('it reads /proc, so it needs Linux', EX_UNAVAILABLE);
  // Before anything is saved.
  const commit = readCommit();
  // Before a stage keeps this process to one core.
  const measure = compare === undefined ? prepare(effort) : prepareComparison(effort, openCheckout(compare));
  let passed = true;
  for (const area of areas) {
    const report = await measure(AREAS[area]!).catch((error: Error) => fail(area, error));
    passed &&= report !== undefined && [...report.rows, ...(report.checks ?? [])].every((each) => each.passed);
    if (!report) continue;
    const saved = effort.quick ? 'Not saved: a quick run measures too little.' : `Saved: ${saveReport(report, commit)}`;
    process.stdout.write(`\n${formatReport(report)}\n${saved}\n`);
  }
  process.exit(passed ? 0 : EX_LIMIT_PASSED);
} catch (error) {
  exitWith(NAME, error);
}

function prepare(effort: Effort): (area: Area) => Promise<AreaReport> {
  const stage = createStage();
  return (area) => area(stage, effort);
}

function prepareComparison(effort: Effort, { commit, root }: Checkout): (area: Area) => Promise<AreaReport> {
  const shared = createSharedStage();
  const stages = {
    now: createStage(shared, { name: 'now' }),
    other: createStage(shared, { productRoot: root, name: commit.slice(0, SHORT_COMMIT) }),
    turns: shared.turns,
  };
  return (area) => compareArea(area, stages, commit, effort);
}

/** What cannot be measured here keeps nobody from measuring the rest. */
function fail(area: string, error: Error): undefined {
  if (!(error instanceof StartupError)) throw error;
  process.stderr.write(`${NAME}: ${area}: ${error.message}\n`);
}
