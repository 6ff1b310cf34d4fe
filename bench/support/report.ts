/** What one round measured: for each program the numbers by name. */
export type Round = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** A number that every round measures. */
export interface Measure {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  /** What the gateway may take at most, in `unit`. */
  readonly limit?: number;
}

/** The medians of a measure over all rounds. */
export interface Row extends Measure {
  readonly gateway: number;
  /** The same of each peer, and the median of the gateway's part of it in each round. */
  readonly peers: Readonly<Record<string, { readonly value: number; readonly ratio: number }>>;
  readonly passed: boolean;
}

export interface AreaReport {
  readonly area: string;
  /** What was done, in one line. */
  readonly title: string;
  readonly workload: Readonly<Record<string, number>>;
  readonly rows: readonly Row[];
  readonly rounds: readonly Round[];
  /** What a reader should know to believe the numbers, or not to. */
  readonly notes: readonly string[];
}

/** Rounds are compared each for itself: what slows the machine for a while slows all programs of that round. */
export function summarize(rounds: readonly Round[], measures: readonly Measure[]): Row[] {
  const peers = Object.keys(rounds[0] ?? {}).filter((program) => program !== 'gateway');
  return measures.map((measure) => {
    const read = (program: string) => rounds.map((round) => round[program]![measure.name]!);
    const own = read('gateway');
    const gateway = median(own);
    const compare = (peer: string) => {
      const values = read(peer);
      return { value: median(values), ratio: median(values.map((value, index) => own[index]! / value)) };
    };
    return {
      ...measure,
      gateway,
      peers: Object.fromEntries(peers.map((peer) => [peer, compare(peer)])),
      passed: measure.limit === undefined || gateway <= measure.limit,
    };
  });
}

/** The report as lines for a terminal. */
export function formatReport({ area, title, rows, rounds, notes }: AreaReport): string {
  const peers = Object.keys(rows[0]?.peers ?? {});
  const head = ['', 'gateway', 'limit', '', ...peers.flatMap((peer) => [peer, `gateway/${peer}`])];
  const body = rows.map(({ label, unit, limit, gateway, passed, peers: others }) => [
    label,
    `${gateway.toFixed(1)} ${unit}`,
    limit === undefined ? '' : `${limit} ${unit}`,
    limit === undefined ? '' : passed ? 'pass' : 'FAIL',
    ...peers.flatMap((peer) => [`${others[peer]!.value.toFixed(1)} ${unit}`, others[peer]!.ratio.toFixed(2)]),
  ]);
  const lines = [head, ...body];
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column]!.length)));
  const table = lines.map((cells) =>
    cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
  );
  const times = rounds.length === 1 ? 'one round' : `medians of ${rounds.length} rounds`;
  return [`${area}: ${title}; ${times}`, '', ...table.map((line) => line.trimEnd()), '', ...notes].join('\n');
}

/** The middle value; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
