import { readdirSync, readFileSync } from 'node:fs';
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
  const [utime, stime] = readStat(pid).slice(11, 13);
  return (Number(utime) + Number(stime)) * TICK_MS;
}

/** The same of a process with all that it has started, directly or not, whether that still runs or not. */
export function readTreeCpuMs(pid: number): number {
  return listProcessTree(pid).reduce((sum, each) => sum + readWithEndedMs(each), 0);
}

/** With the children that have ended; 0 for a process that has ended itself: it is among those of another one now. */
function readWithEndedMs(pid: number): number {
  try {
    const [utime, stime, cutime, cstime] = readStat(pid).slice(11, 15).map(Number);
    return (utime! + stime! + cutime! + cstime!) * TICK_MS;
  } catch {
    return 0;
  }
}

/** The fields behind the second one, the name in brackets, which may hold blanks. */
function readStat(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
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

/** The process itself, then its children, and theirs. */
export function listProcessTree(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? readParent(Number(name)) : undefined;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const tree = [pid];
  // Grows while it is walked.
  for (const each of tree) tree.push(...(children.get(each) ?? []));
  return tree;
}

/** Undefined for a process that has ended meanwhile. */
function readParent(pid: number): number | undefined {
  try {
    return Number(readStat(pid)[1]);
  } catch {
    return undefined;
  }
}

/** Memory of processes in bytes, what they share with others counted by its share: proc_pid_smaps(5), Pss. */
export function readPssBytes(pids: readonly number[]): number {
  const read = (pid: number) => /^Pss:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
  return pids.reduce((sum, pid) => sum + Number(read(pid)) * 1024, 0);
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
