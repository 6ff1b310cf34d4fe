import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describeMachine } from './machine.ts';
import type { AreaReport } from './report.ts';

const RESULTS = new URL('../results/', import.meta.url);

/**
 * Writes a report with all that it takes to read it later, in place of the last one of its area. `commit` is what was
 * measured. Returns the path.
 */
export function saveReport({ area, title, workload, rows, checks, rounds, notes }: AreaReport, commit: string): string {
  const file = fileURLToPath(new URL(`${area}.json`, RESULTS));
  const result = {
    area,
    title,
    date: new Date().toISOString(),
    commit,
    machine: describeMachine(),
    workload,
    rows,
    checks,
    rounds,
    notes,
  };
  mkdirSync(RESULTS, { recursive: true });
  const short = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value);
  writeFileSync(file, `${JSON.stringify(result, short, 2)}\n`);
  return file;
}
