import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { EX_CONFIG, StartupError } from '../../src/shared/startup-error.ts';

/** What proc_pid_stat(5) counts CPU time in: 1/100 s on every Linux that Node runs on. */
const TICK_MS = 10;
const SAMPLE_MS = 200;
const STILL_SAMPLES = 5;
const STILL_BYTES = 256 * 1024;
const STILL_BOUND_MS = 30_000;

/** User and system time of all threads of a process so far, in milliseconds. */
export function readCpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Counted from behind the second field, the name in brackets, which may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** What all processes together have used of all cores so far, in milliseconds: proc_stat(5). */
export function readMachineCpuMs(): number {
  const [, user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8').split(/\s+/, 9);
  return [user, nice, system, irq, softirq, steal].reduce((sum, ticks) => sum + Number(ticks), 0) * TICK_MS;
}

/** Resident memory of a process in bytes, once it stands still. */
export async function readRssBytes(pid: number): Promise<number> {
  const deadline = performance.now() + STILL_BOUND_MS;
  const samples = [sampleRss(pid)];
  while (samples.length < STILL_SAMPLES || Math.max(...samples) - Math.min(...samples) > STILL_BYTES) {
    if (performance.now() > deadline) {
      throw new Error(`the memory of process ${pid} does not stand still: ${samples.join(', ')} bytes`);
    }
    await sleep(SAMPLE_MS);
    samples.push(sampleRss(pid));
    if (samples.length > STILL_SAMPLES) samples.shift();
  }
  return samples.at(-1)!;
}

function sampleRss(pid: number): number {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** Throws a StartupError when a process started from this one may not open `needed` files. */
export function assertOpenFiles(needed: number): void {
  // Node has raised its own limit, which the others inherit, as far as it may.
  const limit = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  if (limit === 'unlimited' || Number(limit) >= needed) return;
  throw new StartupError(
    `the benchmark opens ${needed} files in one process, and may open ${limit}: raise the hard limit (ulimit -Hn)`,
    EX_CONFIG,
  );
}
