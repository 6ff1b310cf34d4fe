/** What came of an attack, as its attackers saw it. */
export interface Tally {
  /** Connections that the gateway took. */
  opened: number;
  /** Connections that failed before or while they were open, by error code. */
  readonly errors: Record<string, number>;
  /** Connections that the gateway ended. */
  closed: number;
  /** The most connections that were open at the same time. */
  peak: number;
  /** Those that were open at the end. */
  held: number;
  /** Requests, or what was meant to look like one. */
  sent: number;
  readonly statuses: Record<string, number>;
}

export function createTally(): Tally {
  return { opened: 0, errors: {}, closed: 0, peak: 0, held: 0, sent: 0, statuses: {} };
}

/** In one line, with `seconds` for the rates. */
export function describeTally({ opened, errors, closed, peak, sent, statuses }: Tally, seconds: number): string {
  const rate = (value: number) => `${count(value)} (${count(Math.round(value / seconds))}/s)`;
  const listed = (title: string, counts: Readonly<Record<string, number>>) => {
    const parts = Object.entries(counts).sort(([, one], [, other]) => other - one);
    return parts.length === 0
      ? []
      : [`${title} ${parts.map(([name, value]) => `${name} × ${count(value)}`).join(', ')}`];
  };
  return [
    `${rate(opened)} connections, at most ${count(peak)} at once`,
    `${rate(sent)} requests`,
    ...listed('answers', statuses),
    `${count(closed)} ended by the gateway`,
    ...listed('errors', errors),
  ].join('; ');
}

const count = (value: number): string => value.toLocaleString('en');
