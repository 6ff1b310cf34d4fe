import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The core for the program under test, the one for everything else, or both of them for those who share them. */
export type Place = 'tested' | 'rest' | 'both';

export interface Pinning {
  /** As taskset takes them. */
  readonly cores?: Readonly<Record<Place, string>>;
  /** Where the programs run, as a sentence for the reader. */
  readonly text: string;
}

/** Shares out the cores that this process may use, and keeps it to those that are not for what is tested. Once in a process. */
export function pinBenchmark(): Pinning {
  const pinning = readPinning();
  // It reads what the programs log.
  if (pinning.cores) spawnSync('taskset', ['-a', '-c', '-p', pinning.cores.rest, String(process.pid)]);
  return pinning;
}

function readPinning(): Pinning {
  const [tested, rest] = readAllowedCores();
  if (tested === undefined || rest === undefined) return { text: 'not pinned: there is one core for everything' };
  if (spawnSync('taskset', ['--version']).error) return { text: 'not pinned: there is no taskset' };
  const cores = { tested: `${tested}`, rest: `${rest}`, both: `${tested},${rest}` };
  return { cores, text: `the program under test on core ${tested}, all others on core ${rest}` };
}

/** The cores that this process may use: proc_pid_status(5). */
function readAllowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
