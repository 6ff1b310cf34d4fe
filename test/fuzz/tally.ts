export type Tally = ReturnType<typeof createTally>;

/** Counts what was sent and what came back, for a table. */
export function createTally() {
  const kinds = new Map<string, { sent: number; tookMs: number; statuses: Map<string, number> }>();

  return {
    /** One batch: a status for each answer, or a word for each connection without one. */
    add(kind: string, statuses: readonly (number | string)[], tookMs: number): void {
      const entry = kinds.get(kind) ?? { sent: 0, tookMs: 0, statuses: new Map() };
      kinds.set(kind, entry);
      entry.sent += statuses.length;
      entry.tookMs += tookMs;
      for (const status of statuses.map(String)) entry.statuses.set(status, (entry.statuses.get(status) ?? 0) + 1);
    },
    count: (kind: string) => kinds.get(kind)?.sent ?? 0,
    statuses: (kind: string): ReadonlyMap<string, number> => kinds.get(kind)?.statuses ?? new Map(),
    table(): string {
      const lines = [...kinds].map(([kind, { sent, tookMs, statuses }]) => {
        const rate = Math.round(sent / (tookMs / 1_000));
        const counts = [...statuses]
          .sort(([a], [b]) => a.localeCompare(b))
          .map(([status, count]) => `${status}: ${count}`);
        return `${kind.padEnd(6)} ${String(sent).padStart(8)} answers ${String(rate).padStart(6)}/s   ${counts.join('  ')}`;
      });
      return lines.join('\n');
    },
  };
}
