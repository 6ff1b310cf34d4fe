import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { until } from '../waiting.ts';

interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  /** Z is one that has ended, but that nobody asked about. */
  readonly state: string;
}

/** Kills a process and all its children with SIGKILL, as a crash of a whole server would; waits until they are gone. */
export async function killFamily(pid: number): Promise<void> {
  // A stopped parent makes no more children, and does not see those die that it has.
  process.kill(pid, 'SIGSTOP');
  const family = [
    pid,
    ...listProcesses()
      .filter(({ parent }) => parent === pid)
      .map((row) => row.pid),
  ];
  for (const member of family) sendKill(member);
  await until('the killed processes are gone', () => {
    const alive = new Set(listProcesses().flatMap((row) => (row.state === 'Z' ? [] : [row.pid])));
    return !family.some((member) => alive.has(member));
  });
}

function sendKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function listProcesses(): ProcessRow[] {
  if (process.platform !== 'linux') {
    const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' }).trim().split('\n');
    return lines.map((line) => toRow(line.trim().split(/\s+/)));
  }
  return readdirSync('/proc').flatMap((name) => {
    const stat = /^\d+$/.test(name) ? readStat(name) : undefined;
    // The program's name, in brackets, may hold spaces and brackets itself.
    const [state, parent] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
    return state && parent ? [toRow([name, parent, state])] : [];
  });
}

function toRow([pid, parent, state]: readonly string[]): ProcessRow {
  return { pid: Number(pid), parent: Number(parent), state: state?.[0] ?? '' };
}

/** Undefined for a process that has just ended. */
function readStat(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
}
