import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { findDebianProgram } from '../test/support/debian.ts';
import { compareCrowds, compareWhole, measureRanges, SIZES, warm } from './artifacts/measure.ts';
import { openScene } from './artifacts/scene.ts';
import { type AreaReport, check, type Effort, median, type Round, summarize, withoutLimits } from './support/report.ts';
import type { Stage } from './support/stage.ts';

const RATIO_FLOOR = 0.5;
const PEAK_LIMIT_MB = 200;
const GROWTH_LIMIT_MB = 60;

const RATE = { name: 'mbPerSecond', label: 'rate', unit: 'MB/s', ratioFloor: RATIO_FLOOR };
const CPU = { name: 'cpuSecondsPerGib', label: 'CPU', unit: 's/GiB' };

/** Large files through the gateway and through nginx, one at a time and with a slow reader among them; and small ranges. */
export async function benchArtifacts(stage: Stage, { rounds: generations, quick }: Effort): Promise<AreaReport> {
  const size = quick ? SIZES.quick : SIZES.full;
  const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-bench-'));
  const nginx = await findDebianProgram('nginx', 'nginx-light');
  const wholeRounds: Round[] = [];
  const crowdRounds: Round[] = [];
  const memories: { idleMb: number; growthMb: number; peakMb: number }[] = [];
  const ranges: Awaited<ReturnType<typeof measureRanges>>[] = [];
  let otherCores = 0;
  try {
    // Each generation has all programs anew.
    for (let generation = 1; generation <= generations; generation++) {
      const place = 'file' in nginx ? { file: nginx.file, folder } : undefined;
      const scene = await openScene(stage, [size.wholeBytes, size.crowdBytes], place);
      const readOtherCores = stage.watchOthers();
      const memory = await warm(scene, size);
      for (let turn = 0; turn < size.turns; turn++) {
        crowdRounds.push(await compareCrowds(scene, size, turn));
        if (turn === 0) memory.endCrowd();
        wholeRounds.push(await compareWhole(scene, size, turn));
      }
      memories.push(memory.end());
      ranges.push(await measureRanges(scene, size));
      otherCores = Math.max(otherCores, readOtherCores());
      const last = Object.entries(wholeRounds.at(-1)!);
      const said = last.map(([name, { mbPerSecond }]) => `${name} ${mbPerSecond!.toFixed(0)} MB/s`).join(', ');
      process.stderr.write(`artifacts, round ${generation} of ${generations}: ${said}\n`);
      await stage.clear();
    }
  } finally {
    await stage.clear();
    await rm(folder, { recursive: true, force: true });
  }
  const peers = Object.keys(wholeRounds[0]!).filter((name) => name === 'nginx');
  const toRows = (rounds: readonly Round[], label: string) => {
    const measures = [RATE, CPU].map((measure) => ({ ...measure, label: `${measure.label}, ${label}` }));
    return summarize(rounds, quick ? withoutLimits(measures) : measures, 'gateway', peers);
  };
  const middle = <Item>(items: readonly Item[], read: (item: Item) => number) => median(items.map(read));
  const limits = (values: Record<string, number>) => (quick ? {} : values);
  const inEach = (name: string) =>
    Object.fromEntries(
      Object.keys(wholeRounds[0]!).map((program) => [program, middle(wholeRounds, (round) => round[program]![name]!)]),
    );
  return {
    area: 'artifacts',
    title: `a file of ${toMib(size.wholeBytes)} MiB; ${size.fast} and a slow reader of ${toMib(size.crowdBytes)} MiB; ranges of ${size.rangeBytes / 1024} KiB`,
    workload: { ...size },
    rows: [...toRows(wholeRounds, 'one download'), ...toRows(crowdRounds, `${size.fast} beside a slow one`)],
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
    rounds: wholeRounds.map((whole, index) => ({
      ...whole,
      ...Object.fromEntries(Object.entries(crowdRounds[index]!).map(([name, numbers]) => [`${name}, crowd`, numbers])),
    })),
    notes: [
      'store: read by the load directly, both on the other core. Where that is far faster, they hold nobody up.',
      'Every length was checked, and once in each generation the SHA-256 of all of a file through the gateway.',
      'RSS: the most there was from the first download on. The start of the TypeScript sources itself needs more for a moment.',
      `Others used up to ${otherCores.toFixed(1)} cores meanwhile: whoever has to share a core loses rate, but hardly CPU time.`,
      ...('missing' in nginx ? [`Without nginx: ${nginx.missing}.`] : []),
      `Pinning: ${stage.pinning}.`,
    ],
  };
}

function toMib(bytes: number): number {
  return bytes / 1024 / 1024;
}
