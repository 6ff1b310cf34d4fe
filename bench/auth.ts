import { CPU, FIXED_PER_SECOND, GATEWAY, MEMORY, measureCredentials, RATE, WAITS } from './auth/credential-cost.ts';
import { checkSituations } from './auth/junk-checks.ts';
import { CALLS_PER_SECOND, floodWithJunk, type JunkEffort } from './auth/junk-keys.ts';
import {
  type AreaReport,
  type Check,
  type Effort,
  type Measure,
  median,
  type Round,
  type Row,
  summarize,
  withoutLimits,
} from './support/report.ts';
import type { Stage } from './support/stage.ts';
import { CLIENTS } from './support/surroundings.ts';

/** What a credential may add to the CPU time of a request. */
const RATIO_LIMIT = 1.05;

/** Share of a core from which on others on the machine spoil the ratios. */
const BUSY_CORES = 0.5;

const FULL = {
  cost: { warmMs: 8_000, measureMs: 16_000, pacedTurns: 4, pacedMs: 500 },
  junk: { goodKeys: 10_000, junkKeys: 100_000, beforeMs: 4_000 },
};
const QUICK = {
  cost: { warmMs: 3_000, measureMs: 5_000, pacedTurns: 1, pacedMs: 500 },
  junk: { goodKeys: 1_000, junkKeys: 5_000, beforeMs: 1_000 },
};

/**
 * What is compared with a request that brings no credential: as nobody, or as the same principal, who then travels with the
 * call, too. A key with a quota also has its answers say what is left of it.
 */
const CREDENTIALS: readonly { name: string; label: string; peer: 'open' | 'openAs'; ratioLimit?: number }[] = [
  { name: 'key', label: 'API key', peer: 'openAs', ratioLimit: RATIO_LIMIT },
  { name: 'keyWithQuota', label: 'API key with a quota', peer: 'openAs' },
  { name: 'staticToken', label: 'static token', peer: 'open', ratioLimit: RATIO_LIMIT },
  { name: 'key', label: 'API key', peer: 'open' },
  { name: 'openAgain', label: 'none, again', peer: 'open' },
];

/** What a credential costs with a hot cache, and what a flood of junk does to the good ones. */
export async function benchAuth(
  stage: Stage,
  { rounds: roundCount, quick, alone = false }: Effort,
): Promise<AreaReport> {
  const { cost, junk } = quick ? QUICK : FULL;
  const rounds: Round[] = [];
  const othersCores: number[] = [];
  for (let round = 1; round <= roundCount; round++) {
    const measured = await measureCredentials(stage, cost);
    rounds.push(measured.round);
    othersCores.push(measured.othersCores);
    const names = [...new Set(CREDENTIALS.flatMap(({ name, peer }) => [name, peer]))];
    const said = names.map((name) => `${name} ${measured.round[name]!.cpuUs!.toFixed(1)} µs`);
    stage.say(`auth, round ${round} of ${roundCount}: ${said.join(', ')}`);
  }
  const junkChecks = alone ? [] : await checkJunk(stage, junk);
  const rows = CREDENTIALS.flatMap(({ name, label, peer, ratioLimit }) => {
    const measures = [{ ...CPU, ...(ratioLimit !== undefined && { ratioLimit }) }, RATE, ...WAITS].map((measure) => ({
      ...measure,
      label: `${measure.label}, ${label}`,
    }));
    return summarize(rounds, quick ? withoutLimits(measures) : measures, name, [peer]);
  });
  const busyCores = median(othersCores);
  return {
    area: 'auth',
    title: `a GET by ${CLIENTS} clients with a hot cache${alone ? '' : `, then ${junk.junkKeys} junk keys against ${junk.goodKeys} good ones`}`,
    workload: {
      clients: CLIENTS,
      callsPerSecond: CALLS_PER_SECOND,
      fixedPerSecond: FIXED_PER_SECOND,
      goodKeys: junk.goodKeys,
      junkKeys: junk.junkKeys,
    },
    rows: [...rows, ...summarize(rounds, MEMORY, GATEWAY, [])],
    checks: junkChecks,
    rounds,
    notes: [
      'open, openAs: the same process without a credential, as nobody or as the same principal, for which authentication is',
      'taken out. They take turns in small batches, the slower half of which is left out: whoever else uses the machine',
      'only ever adds to them. A principal also travels with the call, which is no cost of the credential.',
      `Noise: the same against itself differs by up to ${findNoise(rows, CPU)} % in CPU time, and ${findNoise(rows, RATE)} % in the rate, which also counts`,
      'the time that others have the core: so it is CPU time that has the limit. The more others do, the dearer is a',
      `credential, because it finds the caches cold: meanwhile they used ${busyCores.toFixed(1)} cores.`,
      ...(busyCores > BUSY_CORES
        ? ['That is too much to believe the first table: run it again when they are done.']
        : []),
      `The fixed rate: ${FIXED_PER_SECOND} requests a second, come what may. The memory is that of the process that all of them use.`,
      ...(alone ? [] : describeJunk()),
      `Pinning: ${stage.pinning}.`,
    ],
  };
}

async function checkJunk(stage: Stage, junk: JunkEffort): Promise<Check[]> {
  stage.say(`auth: ${junk.junkKeys} junk keys of each kind`);
  return checkSituations(await floodWithJunk(stage, junk), junk);
}

function describeJunk(): string[] {
  return [
    `What junk does: ${CALLS_PER_SECOND} calls a second with good keys, while ${CLIENTS} clients send as fast as they can: nothing, good keys,`,
    'or junk. Its numbers are of one run: what else the machine did is in them.',
  ];
}

/** How far off 1 the ratio of two that are the same was at worst, in percent. */
function findNoise(rows: readonly Row[], { name }: Measure): string {
  const row = rows.find((candidate) => candidate.program === 'openAgain' && candidate.name === name)!;
  const [least, most] = row.peers.open!.spread;
  return (Math.max(1 - least, most - 1) * 100).toFixed(1);
}
