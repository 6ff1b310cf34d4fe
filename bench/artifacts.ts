import { findDebianProgram } from '../test/support/debian.ts';
import { compareCrowds, comparePaced, compareWhole, measureRanges, SIZES, warm } from './artifacts/measure.ts';
import { openScene } from './artifacts/scene.ts';
import { joinSituations, nameOf, type Situation } from './artifacts/situations.ts';
import {
  type AreaReport,
  check,
  type Effort,
  type Measure,
  median,
  type Round,
  summarize,
  withoutLimits,
} from './support/report.ts';
import type { Stage } from './support/stage.ts';

const RATIO_FLOOR = 0.5;
const PEAK_LIMIT_MB = 200;
const GROWTH_LIMIT_MB = 60;

const RATE = { name: 'mbPerSecond', label: 'rate', unit: 'MB/s', ratioFloor: RATIO_FLOOR };
const CPU = { name: 'cpuSecondsPerGib', label: 'CPU', unit: 's/GiB' };
const PACED = [
  { name: 'p50Ms', label: 'p50', unit: 'ms' },
  { name: 'p99Ms', label: 'p99', unit: 'ms' },
  { name: 'cpuUs', label: 'CPU', unit: 'µs' },
];

/** Large files through the gateway and through nginx, one at a time and with a slow reader among them; small ones and ranges. */
export async function benchArtifacts(
  stage: Stage,
  { rounds: generations, quick, alone = false }: Effort,
): Promise<AreaReport> {
  const size = quick ? SIZES.quick : SIZES.full;
  const folder = stage.makeFolder();
  const nginx = alone ? undefined : await findDebianProgram('nginx', 'nginx-light');
  const rounds: Round[] = [];
  const memories: { idleMb: number; growthMb: number; peakMb: number }[] = [];
  const ranges: Awaited<ReturnType<typeof measureRanges>>[] = [];
  let otherCores = 0;
  try {
    // Each generation has all programs anew.
    for (let generation = 1; generation <= generations; generation++) {
      const place = nginx && 'file' in nginx ? { file: nginx.file, folder } : undefined;
      const scene = await stage.turn(() =>
        openScene(stage, [size.wholeBytes, size.crowdBytes, size.smallBytes], place),
      );
      const readOtherCores = stage.watchOthers();
      const memory = await stage.turn(() => warm(scene, size));
      for (let turn = 0; turn < size.turns; turn++) {
        const crowd = await stage.turn(() => compareCrowds(scene, size, turn));
        if (turn === 0) memory.endCrowd();
        const whole = await stage.turn(() => compareWhole(scene, size, turn));
        // The first time it is not yet warm.
        if (turn === 0) await stage.turn(() => comparePaced(scene, size, turn));
        const small = await stage.turn(() => comparePaced(scene, size, turn));
        rounds.push(joinSituations({ whole, crowd, small }));
      }
      memories.push(memory.end());
      ranges.push(await stage.turn(() => measureRanges(scene, size)));
      otherCores = Math.max(otherCores, readOtherCores());
      const last = Object.entries(rounds.at(-1)!);
      const said = last
        .map(([name, numbers]) => `${name} ${numbers[nameOf('whole', RATE)]!.toFixed(0)} MB/s`)
        .join(', ');
      stage.say(`artifacts, round ${generation} of ${generations}: ${said}`);
      await stage.clear();
    }
  } finally {
    await stage.clear();
  }
  const peers = Object.keys(rounds[0]!).filter((name) => name === 'nginx');
  const toRows = (situation: Situation, label: string, measures: readonly Measure[] = [RATE, CPU]) => {
    const named = measures.map((measure) => ({
      ...measure,
      name: nameOf(situation, measure),
      label: `${measure.label}, ${label}`,
    }));
    return summarize(rounds, quick || alone ? withoutLimits(named) : named, 'gateway', peers);
  };
  const middle = <Item>(items: readonly Item[], read: (item: Item) => number) => median(items.map(read));
  const limits = (values: Record<string, number>) => (quick ? {} : values);
  const inEach = (name: string) => {
    const programs = Object.keys(rounds[0]!);
    const read = (program: string) => middle(rounds, (round) => round[program]![nameOf('whole', { name })]!);
    return Object.fromEntries(programs.map((program) => [program, read(program)]));
  };
  return {
    area: 'artifacts',
    title: `a file of ${toMib(size.wholeBytes)} MiB; ${size.fast} and a slow reader of ${toMib(size.crowdBytes)} MiB; small ones of ${size.smallBytes / 1024} KiB; ranges of ${size.rangeBytes / 1024} KiB`,
    workload: { ...size },
    rows: [
      ...toRows('whole', 'one download'),
      ...toRows('crowd', `${size.fast} beside a slow one`),
      ...toRows('small', `small ones, ${size.smallPerSecond} a second`, PACED),
    ],
    checks: [
      check({ name: 'rate', label: 'one download', unit: 'MB/s' }, inEach('mbPerSecond')),
      check({ name: 'ownCores', label: 'its core in use', unit: '%' }, inEach('ownPercent')),
      check({ name: 'restCores', label: 'store and load: CPU', unit: 's/GiB' }, inEach('restSecondsPerGib')),
      check(
        { name: 'rss', label: "the gateway's RSS", unit: 'MB' },
        {
          idle: middle(memories, ({ idleMb }) => idleMb),
          '8 readers, more': Math.max(...memories.map(({ growthMb }) => growthMb)),
          peak: Math.max(...memories.map(({ peakMb }) => peakMb)),
        },
        limits({ '8 readers, more': GROWTH_LIMIT_MB, peak: PEAK_LIMIT_MB }),
      ),
      check(
        { name: 'ranges', label: 'ranges', unit: '/s' },
        {
          remembered: middle(ranges, ({ remembered }) => remembered.perSecond),
          'not remembered': middle(ranges, ({ forgotten }) => forgotten.perSecond),
        },
      ),
      check(
        { name: 'rangeCpu', label: 'CPU per range', unit: 'µs' },
        {
          remembered: middle(ranges, ({ remembered }) => remembered.cpuUs),
          'not remembered': middle(ranges, ({ forgotten }) => forgotten.cpuUs),
        },
      ),
    ],
    rounds,
    notes: [
      'store: read by the load directly, both on the other core. Where that is far faster, they hold nobody up.',
      'Every length was checked, and once in each generation the SHA-256 of all of a file through the gateway.',
      'RSS: the most there was from the first download on. The start of the TypeScript sources itself needs more for a moment.',
      `Others used up to ${otherCores.toFixed(1)} cores meanwhile: whoever has to share a core loses rate, but hardly CPU time.`,
      ...(nginx && 'missing' in nginx ? [`Without nginx: ${nginx.missing}.`] : []),
      `Pinning: ${stage.pinning}.`,
    ],
  };
}

function toMib(bytes: number): number {
  return bytes / 1024 / 1024;
}
