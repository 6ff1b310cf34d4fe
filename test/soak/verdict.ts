import type { Reading } from './readings.ts';
import { median, slope } from './trend.ts';

/** What grew may be so many times what it was. */
const MOST_GROWTH = 1.1;

export interface Phases {
  /** Under load, after the warm-up. */
  readonly early: readonly Reading[];
  /** Under the same load, at the end. */
  readonly late: readonly Reading[];
  /** When nobody asks anything any more. */
  readonly quiet: readonly Reading[];
  /** The second half of the load. */
  readonly half: readonly Reading[];
}

/** Memory that grew; `lines` say the same in numbers. */
export function judgeGrowth({ early, late, quiet, half }: Phases): { failures: string[]; lines: string[] } {
  const rss = (readings: readonly Reading[]) => median(readings.map(({ rssMb }) => rssMb));
  const [earlyMb, lateMb, quietMb] = [rss(early), rss(late), rss(quiet)];
  const failures: string[] = [];
  if (!(lateMb <= MOST_GROWTH * earlyMb)) {
    failures.push(`RSS under load grew from ${inMb(earlyMb)} after the warm-up to ${inMb(lateMb)}`);
  }
  if (!(quietMb <= MOST_GROWTH * earlyMb)) {
    failures.push(`RSS grew from ${inMb(earlyMb)} after the warm-up to ${inMb(quietMb)} at rest`);
  }
  const minutes = (reading: Reading) => reading.atMs / 60_000;
  const rise = (name: 'rssMb' | 'heapMb' | 'sockets' | 'handles' | 'orchestratorRssMb') =>
    slope(
      half.filter((reading) => !Number.isNaN(reading[name])).map((reading) => [minutes(reading), reading[name]]),
    ).toFixed(2);
  return {
    failures,
    lines: [
      `RSS: ${inMb(earlyMb)} after the warm-up, ${inMb(lateMb)} at the end (x ${(lateMb / earlyMb).toFixed(3)}), ${inMb(quietMb)} at rest (x ${(quietMb / earlyMb).toFixed(3)})`,
      `slopes over the second half, a minute: RSS ${rise('rssMb')} MiB, heap ${rise('heapMb')} MiB, sockets ${rise('sockets')}, handles ${rise('handles')}; the orchestrator's RSS ${rise('orchestratorRssMb')} MiB`,
    ],
  };
}

function inMb(value: number): string {
  return `${value.toFixed(1)} MiB`;
}
