import type { Reading } from './readings.ts';
import { median } from './trend.ts';

type Column = readonly [heading: string, width: number, value: keyof Reading, digits?: number];

const COLUMNS: readonly Column[] = [
  ['RSS', 7, 'rssMb', 1],
  ['heap', 6, 'heapMb', 1],
  ['ext', 6, 'externalMb', 1],
  ['sock', 5, 'sockets'],
  ['pipe', 5, 'pipes'],
  ['file', 5, 'files'],
  ['estab', 6, 'established'],
  ['clsng', 6, 'closing'],
  ['hndl', 5, 'handles'],
  ['lag99', 6, 'lagMs'],
  ['strm', 5, 'streams'],
  ['upstr', 6, 'upstreamStreams'],
  ['infl', 5, 'inFlight'],
  ['cpu%', 5, 'cpuPercent'],
  ['o.RSS', 7, 'orchestratorRssMb', 1],
  ['o.sock', 7, 'orchestratorSockets'],
];

export const TABLE_HEAD = ['   time', ...COLUMNS.map(([heading, width]) => heading.padStart(width))].join('');

/** One line: the medians of some readings. Memory is in MiB, the lag in milliseconds. */
export function tableLine(readings: readonly Reading[], sinceMs: number): string {
  const seconds = Math.round((readings.at(-1)!.atMs - sinceMs) / 1_000);
  const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  const cells = COLUMNS.map(([, width, name, digits = 0]) => {
    const value = median(readings.map((reading) => reading[name]));
    return (Number.isNaN(value) ? '-' : value.toFixed(digits)).padStart(width);
  });
  return [time.padStart(7), ...cells].join('');
}
