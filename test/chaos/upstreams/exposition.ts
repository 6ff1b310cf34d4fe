/** One sample of a scrape, in the text format of Prometheus. */
interface Line {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export type Exposition = ReturnType<typeof readExposition>;

/** Reads what a program's /metrics says; enough of the text format for what we write. */
export function readExposition(text: string) {
  const lines: Line[] = text.split('\n').flatMap((line) => {
    const [, name, inside = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    if (name === undefined) return [];
    const labels = Object.fromEntries([...inside.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, k, v]) => [k!, v!]));
    return [{ name, labels, value: Number(value === '+Inf' ? Infinity : value) }];
  });

  /** The sum of all series of that name that have these labels; undefined when there is none. */
  function sum(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const found = lines.filter((line) => line.name === name && hasAll(line, labels));
    return found.length === 0 ? undefined : found.reduce((total, { value }) => total + value, 0);
  }

  return {
    sum,
    /** The values of a histogram's buckets by their upper bounds, in order. */
    buckets(name: string): readonly (readonly [bound: number, count: number])[] {
      const found = lines.filter((line) => line.name === `${name}_bucket`);
      const bounds = [...new Set(found.map(({ labels }) => labels.le!))];
      return bounds
        .map((le) => [le === '+Inf' ? Infinity : Number(le), sum(`${name}_bucket`, { le })!] as const)
        .sort(([one], [other]) => one - other);
    },
  };
}

/** The upper bound of the bucket below which a share of what came between two scrapes lies; 0 when nothing came. */
export function percentileBetween(before: Exposition, after: Exposition, name: string, share: number): number {
  const earlier = new Map(before.buckets(name));
  const rises = after.buckets(name).map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)] as const);
  const total = rises.at(-1)?.[1] ?? 0;
  return rises.find(([, count]) => total > 0 && count >= share * total)?.[0] ?? 0;
}

function hasAll({ labels: own }: Line, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([name, value]) => own[name] === value);
}
