import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { readCpuMs } from '../../../bench/support/process-usage.ts';

/** What a process has, and has used: proc_pid_status(5), proc_pid_fd(5). */
export interface Vitals {
  readonly rssBytes: number;
  /** Open files, which are mostly sockets. */
  readonly fds: number;
  readonly cpuMs: number;
}

const SAMPLE_MS = 500;
const LOOK_MS = 100;

export function readVitals(pid: number): Vitals {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    rssBytes: Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024,
    fds: readdirSync(`/proc/${pid}/fd`).length,
    cpuMs: readCpuMs(pid),
  };
}

/** Looks at a process now and then until `end`; `peak` looks once more, and says the most that was seen of memory and files. */
export function watchPeaks(pid: number) {
  let peak = readVitals(pid);
  const look = () => {
    const { rssBytes, fds, cpuMs } = readVitals(pid);
    peak = { rssBytes: Math.max(peak.rssBytes, rssBytes), fds: Math.max(peak.fds, fds), cpuMs };
  };
  const timer = setInterval(look, SAMPLE_MS);
  return {
    peak(): Pick<Vitals, 'rssBytes' | 'fds'> {
      look();
      return peak;
    },
    end: () => clearInterval(timer),
  };
}

/** Waits until a process has no more files open than that; answers with how many it has, also when it took too long. */
export async function awaitFds(pid: number, most: number, boundMs: number): Promise<{ fds: number; tookMs: number }> {
  const beganAt = performance.now();
  for (;;) {
    const { fds } = readVitals(pid);
    const tookMs = performance.now() - beganAt;
    if (fds <= most || tookMs > boundMs) return { fds, tookMs };
    await sleep(LOOK_MS);
  }
}
