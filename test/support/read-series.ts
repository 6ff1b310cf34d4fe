export interface Series {
  /** The sum of all series of that name whose labels include these. */
  readonly sum: (name: string, labels?: Readonly<Record<string, string>>) => number;
}

/** What the program at `url` tells Prometheus now. */
export async function readSeries(url: string): Promise<Series> {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
  return {
    sum(name, labels = {}) {
      const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
      return lines
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .filter((line) => wanted.every((label) => line.includes(label)))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    },
  };
}
