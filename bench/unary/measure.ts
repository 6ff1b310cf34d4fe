import { readCpuMs, readRssBytes } from '../support/process-usage.ts';
import { median, type Round } from '../support/report.ts';
import type { Tally } from '../support/tally.ts';
import type { Case, CaseName } from './cases.ts';
import type { Scene, Subject } from './programs.ts';

/** How many send their next request as soon as the last one is answered. */
export const CLIENTS = 64;
/** Of its core. Who used less was kept waiting: by those on the other core, or by others on the machine who took it. */
export const BUSY_SHARE = 0.95;
/** Whose peak sets the rate at which waiting is measured, and which part of it. */
export const PACE_MAKER = 'fastify';
export const PACE_SHARE = 0.5;
/** Without a pace maker, requests a second. */
export const LONE_PACE = 500;

/** Programs take turns in short slices: whatever else the machine does, it does to all of them. */
export interface UnaryEffort {
  /** For each case of each program. */
  readonly warmMs: number;
  readonly peak: { readonly turns: number; readonly sliceMs: number };
  readonly waiting: { readonly turns: number; readonly sliceMs: number };
}

/** What a program did in one case, by the names of the measures. */
type Numbers = Record<string, number>;

/** One slice with as many requests as the program can answer, and the CPU time that everybody used for it. */
interface Slice {
  readonly requests: number;
  readonly wallMs: number;
  readonly ownMs: number;
  readonly backendMs: number;
  readonly loadMs: number;
  readonly benchMs: number;
}

/** A name for a measure of one case. */
export function measureName(each: CaseName, name: string): string {
  return `${each}${name[0]!.toUpperCase()}${name.slice(1)}`;
}

export async function warm(scene: Scene, { warmMs }: UnaryEffort): Promise<void> {
  for (const each of scene.cases) {
    for (const subject of Object.values(scene.subjects)) {
      await scene.turn(() => sendSlice(scene, subject, each, warmMs));
    }
  }
}

/** One round: all cases of all programs. */
export async function measureRound(scene: Scene, { peak, waiting }: UnaryEffort): Promise<Round> {
  const names = Object.keys(scene.subjects);
  const round: Record<string, Numbers> = Object.fromEntries(names.map((name) => [name, {}]));
  const note = (name: string, each: Case, numbers: Numbers) => {
    for (const [key, value] of Object.entries(numbers)) round[name]![measureName(each.name, key)] = value;
  };
  for (const each of scene.cases) {
    const slices = await takeTurns(scene, peak.turns, (subject) => sendSlice(scene, subject, each, peak.sliceMs));
    for (const [name, all] of slices) note(name, each, readPeak(all));
    const maker = round[PACE_MAKER]?.[measureName(each.name, 'perSecond')];
    const pace = maker === undefined ? LONE_PACE : maker * PACE_SHARE;
    const waits = await takeTurns(scene, waiting.turns, (subject) =>
      sendAtPace(scene, subject, each, waiting.sliceMs, pace),
    );
    for (const [name, all] of waits) {
      note(name, each, { p50Ms: median(all.map(({ p50Ms }) => p50Ms)), p99Ms: median(all.map(({ p99Ms }) => p99Ms)) });
    }
  }
  for (const name of names) round[name]!.rssMb = (await readRssBytes(scene.subjects[name]!.program.pid)) / 1e6;
  return round;
}

/** Nobody is always the first, or after the same one. Another benchmark may have its turns between these. */
async function takeTurns<Result>(
  { subjects, turn: takeTurn }: Scene,
  turns: number,
  measure: (subject: Subject) => Promise<Result>,
): Promise<ReadonlyMap<string, readonly Result[]>> {
  const names = Object.keys(subjects);
  const results = new Map(names.map((name) => [name, [] as Result[]]));
  for (let turn = 0; turn < turns; turn++) {
    const first = turn % names.length;
    const order = [...names.slice(first), ...names.slice(0, first)];
    for (const name of turn % 2 === 0 ? order : order.toReversed()) {
      results.get(name)!.push(await takeTurn(() => measure(subjects[name]!)));
    }
  }
  return results;
}

async function sendSlice(scene: Scene, subject: Subject, each: Case, forMs: number): Promise<Slice> {
  const before = readTimes(scene, subject);
  const { crowd } = await scene.send(subject, each, { forMs, clients: CLIENTS });
  const after = readTimes(scene, subject);
  assertStatus(crowd, each);
  const { requests, perSecond } = crowd;
  return {
    requests,
    wallMs: (requests * 1000) / perSecond,
    ownMs: after.ownMs - before.ownMs,
    backendMs: after.backendMs - before.backendMs,
    loadMs: after.loadMs - before.loadMs,
    benchMs: after.benchMs - before.benchMs,
  };
}

function readPeak(slices: readonly Slice[]): Numbers {
  const sum = (name: keyof Slice) => slices.reduce((total, slice) => total + slice[name], 0);
  const usOf = (name: keyof Slice) => (sum(name) * 1000) / sum('requests');
  const perSecond = 1_000_000 / usOf('wallMs');
  const cpuUs = usOf('ownMs');
  const cpuShare = cpuUs / usOf('wallMs');
  const wasWaiting = cpuShare < BUSY_SHARE;
  const [backendUs, loadUs, benchUs] = [usOf('backendMs'), usOf('loadMs'), usOf('benchMs')];
  return {
    perSecond,
    // What it would reach if nobody kept it waiting.
    capacity: wasWaiting ? 1_000_000 / cpuUs : perSecond,
    wasWaiting: Number(wasWaiting),
    cpuUs,
    cpuShare,
    backendUs,
    loadUs,
    benchUs,
    restShare: (backendUs + loadUs + benchUs) / usOf('wallMs'),
  };
}

async function sendAtPace(scene: Scene, subject: Subject, each: Case, forMs: number, perSecond: number) {
  const { callers } = await scene.send(subject, each, { forMs, perSecond });
  assertStatus(callers, each);
  return callers;
}

function readTimes({ rest: { backend, load } }: Scene, { program }: Subject) {
  const { user, system } = process.cpuUsage();
  return {
    ownMs: readCpuMs(program.pid),
    backendMs: readCpuMs(backend.pid),
    loadMs: readCpuMs(load.pid),
    // It reads what the programs log.
    benchMs: (user + system) / 1000,
  };
}

function assertStatus({ requests, statuses }: Tally, { label, status }: Case): void {
  if (requests > 0 && statuses[status] === requests) return;
  throw new Error(
    `${label}: each of ${requests} answers had to have the status ${status}: ${JSON.stringify(statuses)}`,
  );
}
