import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What a process has open, and how much memory it has. */
export interface ProcessLevels {
  /** Resident memory. */
  readonly rssBytes: number;
  /** Open file descriptors by kind. */
  readonly sockets: number;
  readonly pipes: number;
  readonly others: number;
  /** Its TCP sockets by state, such as established 12. */
  readonly tcp: Readonly<Record<string, number>>;
  /** CPU time so far. */
  readonly cpuSeconds: number;
}

/** Of linux/include/net/tcp_states.h. */
const TCP_STATES: Readonly<Record<string, string>> = {
  '01': 'established',
  '02': 'syn-sent',
  '03': 'syn-received',
  '04': 'fin-wait-1',
  '05': 'fin-wait-2',
  '06': 'time-wait',
  '07': 'closed',
  '08': 'close-wait',
  '09': 'last-ack',
  '0A': 'listening',
  '0B': 'closing',
};
const TICKS_PER_SECOND = 100;

/** Looks into /proc. Throws when there is no such process. */
export function readProcess(pid: number): ProcessLevels {
  const links = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // It was closed just now.
    }
  });
  const inodes = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
  const pipes = links.filter((link) => link.startsWith('pipe:')).length;
  const rssKib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return {
    rssBytes: rssKib * 1_024,
    sockets: inodes.size,
    pipes,
    others: links.length - inodes.size - pipes,
    tcp: countStates(pid, inodes),
    cpuSeconds: readCpuSeconds(pid),
  };
}

function countStates(pid: number, inodes: ReadonlySet<string>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const file of ['tcp', 'tcp6']) {
    for (const line of readFileSync(`/proc/${pid}/net/${file}`, 'utf8').split('\n').slice(1)) {
      const [, , , state, , , , , , inode] = line.trim().split(/\s+/);
      if (!state || !inodes.has(inode ?? '')) continue;
      const name = TCP_STATES[state] ?? state;
      counts[name] = (counts[name] ?? 0) + 1;
    }
  }
  return counts;
}

function readCpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
