import type { Question } from './questions.ts';
import type { Subject } from './subject.ts';

export interface AskEffort {
  /** How often each subject is asked each question, first without being measured. */
  readonly warmAsks: number;
  readonly asks: number;
  /** From when on a question that takes long is asked no more. */
  readonly boundMs: number;
}

/** Milliseconds by the name of the question: `<name>P50Ms` and `<name>P99Ms`. */
export type Times = Readonly<Record<string, number>>;

/**
 * Asks all subjects the same, in turns, so that what slows the machine for a while slows all of them. Throws when they do
 * not answer alike: then their times could not be compared.
 */
export async function askInTurns<Name extends string>(
  subjects: Readonly<Record<Name, Subject>>,
  questions: readonly Question[],
  { warmAsks, asks, boundMs }: AskEffort,
): Promise<Record<Name, Times>> {
  const names = Object.keys(subjects) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, {}])) as Record<Name, Record<string, number>>;
  for (const question of questions) {
    const measured = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
    const boundAt = performance.now() + boundMs;
    for (let ask = -warmAsks; ask < asks && (ask < 1 || performance.now() < boundAt); ask++) {
      const counts: number[] = [];
      for (const name of names) {
        const startedAt = performance.now();
        counts.push(await question.ask(subjects[name]));
        if (ask >= 0) measured[name].push(performance.now() - startedAt);
      }
      if (counts.some((count) => count !== counts[0] || count === 0)) {
        throw new Error(`"${question.label}" is answered with ${counts.join(', ')} by ${names.join(', ')}`);
      }
    }
    for (const name of names) {
      const sorted = measured[name].toSorted((a, b) => a - b);
      Object.assign(times[name], {
        [`${question.name}P50Ms`]: percentile(sorted, 0.5),
        [`${question.name}P99Ms`]: percentile(sorted, 0.99),
      });
    }
  }
  return times;
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}
