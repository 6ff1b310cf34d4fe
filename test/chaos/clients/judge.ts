import { type PhaseReport, type PhaseSighting, SPARE_FDS } from './phase.ts';

export interface Bounds {
  /** Of /v1/healthz, in milliseconds. */
  readonly probeP99Ms: number;
  /** What the gateway may have taken more than before while it was attacked, in bytes. */
  readonly peakBytes: number;
  /** What it may hold more afterwards, without garbage, in bytes: caches fill, and the rest is a leak. */
  readonly heldBytes: number;
}

const MEGABYTE = 1024 * 1024;

export const BOUNDS: Bounds = { probeP99Ms: 50, peakBytes: 512 * MEGABYTE, heldBytes: 32 * MEGABYTE };

/** Answers that nobody must be able to get by what they send. */
const FAULTS = ['500', '502', '504'];
/** So many failures of a kind are told. */
const TOLD = 6;
/** Of what the witness does in a second, the least that it must have done: percentiles of less say nothing. */
const LEAST_PROBES_PER_SECOND = 25;
const LEAST_ACTS_PER_SECOND = 10;

/** What was not as it has to be, each as a sentence. */
export function judge(report: PhaseReport, bounds: Bounds = BOUNDS): string[] {
  const { probes, honest, live, tally, before, peak, after, heldBytes } = report;
  const [heldBefore, heldAfter] = heldBytes;
  const faults = FAULTS.filter((status) => tally?.statuses[status]);
  return [
    ...(probes.p99Ms < bounds.probeP99Ms ? [] : [`healthz p99 is ${probes.p99Ms.toFixed(1)} ms`]),
    ...findMissing(report),
    ...told(probes.failures),
    ...told(honest.failures),
    ...told(live.failures),
    ...faults.map((status) => `attackers were answered with ${status} × ${tally!.statuses[status]}`),
    ...(after.fds <= before.fds + SPARE_FDS ? [] : [`${after.fds - before.fds} files are still open`]),
    ...tooMany('the memory rose by', peak.rssBytes - before.rssBytes, bounds.peakBytes),
    ...tooMany('what is held rose by', heldAfter - heldBefore, bounds.heldBytes),
  ];
}

/** What makes a phase prove nothing, each as a sentence: a longer one may be without it. */
export function findMissing({ probes, honest, live, doubt, seconds }: PhaseSighting): string[] {
  return [
    ...tooFew('probes', probes.count, LEAST_PROBES_PER_SECOND * seconds),
    ...tooFew('acts of the honest client', honest.count, LEAST_ACTS_PER_SECOND * seconds),
    ...(live.events > 0 ? [] : ['the live stream is silent']),
    ...(doubt === undefined ? [] : [doubt]),
  ];
}

function tooFew(what: string, count: number, least: number): string[] {
  return count >= least ? [] : [`only ${count} ${what}`];
}

function tooMany(what: string, bytes: number, most: number): string[] {
  return bytes <= most ? [] : [`${what} ${Math.round(bytes / MEGABYTE)} MB`];
}

/** The same failure many times is one line. */
function told(failures: readonly string[]): string[] {
  // What differs in a request id alone is the same.
  const kinds = Map.groupBy(failures, (failure) => failure.replace(/,?"request_id".*/, ''));
  const lines = [...kinds].map(([kind, { length }]) => (length === 1 ? kind : `${kind} (× ${length})`));
  return lines.length > TOLD ? [...lines.slice(0, TOLD), `and ${lines.length - TOLD} more kinds`] : lines;
}
