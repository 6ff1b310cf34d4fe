import { readFileSync, writeFileSync } from 'node:fs';
import { readCpuMs, readRssBytes } from '../support/process-usage.ts';
import type { Round } from '../support/report.ts';
import type { Target } from './downloads.ts';
import type { Scene, Subject } from './scene.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const SETTLE_BOUND_MS = 30_000;
const SLOW_BYTES_PER_SECOND = 1_000_000;
const RANGE_CLIENTS = 8;
const COMMON = { fast: 7, rangeBytes: 64 * 1024, smallBytes: 64 * 1024, smallPerSecond: 200 };
const SMALL_CLIENTS = 32;

export const SIZES = {
  full: { ...COMMON, wholeBytes: GIB, crowdBytes: 256 * MIB, turns: 5, rangesMs: 2_000, smallMs: 2_000 },
  quick: { ...COMMON, wholeBytes: GIB / 4, crowdBytes: 32 * MIB, turns: 1, rangesMs: 500, smallMs: 500 },
};
export type Size = (typeof SIZES)['full'];

/**
 * Downloads a file and checks its hash, so that nobody is measured cold. `endCrowd` and `end` then tell how much memory the
 * gateway came to need at most, and how much more than before.
 */
export async function warm(scene: Scene, size: Size) {
  const { program, target } = scene.subjects.gateway!;
  // Loads what a first request loads.
  await scene.ask({
    ranges: { ...target(size.crowdBytes), sizeBytes: size.crowdBytes, ...size, clients: 1, forMs: 100 },
  });
  await program.ask({ settle: true }, SETTLE_BOUND_MS);
  const idleMb = (await readRssBytes(program.pid)) / 1e6;
  // proc_pid_clear_refs(5): the peak of the start is forgotten.
  writeFileSync(`/proc/${program.pid}/clear_refs`, '5');
  for (const subject of Object.values(scene.subjects)) {
    const { sha256 } = await scene.ask({ hash: { ...subject.target(size.crowdBytes), sizeBytes: size.crowdBytes } });
    if (sha256 !== scene.hashOf(size.crowdBytes)) throw new Error(`what came has the hash ${sha256}`);
  }
  let growthMb = 0;
  return {
    endCrowd() {
      growthMb = readPeakMb(program.pid) - idleMb;
    },
    end: () => ({ idleMb, growthMb, peakMb: readPeakMb(program.pid) }),
  };
}

function readPeakMb(pid: number): number {
  return (Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024) / 1e6;
}

/** One download through each program, and one from the store itself. */
export async function compareWhole(scene: Scene, size: Size, turn: number): Promise<Round> {
  const round = await takeTurns(scene, { sizeBytes: size.wholeBytes, fast: 1, slow: 0 }, turn);
  const store = await measureDownloads(scene, undefined, {
    ...scene.direct(size.wholeBytes),
    sizeBytes: size.wholeBytes,
    fast: 1,
    slow: 0,
  });
  return { ...round, store };
}

/** Several at the same time and one that is slow, through each program. */
export function compareCrowds(scene: Scene, size: Size, turn: number): Promise<Round> {
  return takeTurns(scene, { sizeBytes: size.crowdBytes, fast: size.fast, slow: 1 }, turn);
}

/** A small file again and again at a fixed rate, through each program. */
export function comparePaced(scene: Scene, size: Size, turn: number): Promise<Round> {
  const { smallBytes: sizeBytes, smallPerSecond: perSecond, smallMs: forMs } = size;
  return inTurns(scene, turn, async ({ program: { pid }, target }) => {
    const before = readCpuMs(pid);
    const paced = { ...target(sizeBytes), sizeBytes, perSecond, clients: SMALL_CLIENTS, forMs };
    const { requests, p50Ms, p99Ms } = await scene.ask({ paced });
    return { p50Ms: p50Ms!, p99Ms: p99Ms!, cpuUs: ((readCpuMs(pid) - before) * 1000) / requests };
  });
}

type Crowd = Readonly<Record<'sizeBytes' | 'fast' | 'slow', number>>;

function takeTurns(scene: Scene, crowd: Crowd, turn: number): Promise<Round> {
  return inTurns(scene, turn, ({ program, target }) =>
    measureDownloads(scene, program.pid, { ...target(crowd.sizeBytes), ...crowd }),
  );
}

async function inTurns(
  scene: Scene,
  turn: number,
  measure: (subject: Subject) => Promise<Record<string, number>>,
): Promise<Round> {
  const subjects = Object.entries(scene.subjects);
  const round: Record<string, Record<string, number>> = {};
  for (const [name, subject] of turn % 2 === 0 ? subjects : subjects.toReversed()) round[name] = await measure(subject);
  return round;
}

/** Without `pid` nobody is under test. */
async function measureDownloads(scene: Scene, pid: number | undefined, downloads: Target & Crowd) {
  const read = () => ({
    ownMs: pid === undefined ? 0 : readCpuMs(pid),
    restMs: readCpuMs(scene.store.pid) + readCpuMs(scene.load.pid),
  });
  const before = read();
  const { wallMs } = await scene.ask({ whole: { ...downloads, slowBytesPerSecond: SLOW_BYTES_PER_SECOND } });
  const after = read();
  const bytes = downloads.sizeBytes * downloads.fast;
  const ownMs = after.ownMs - before.ownMs;
  return {
    mbPerSecond: bytes / wallMs / 1000,
    cpuSecondsPerGib: (ownMs / 1000) * (GIB / bytes),
    ownPercent: (ownMs / wallMs) * 100,
    restSecondsPerGib: ((after.restMs - before.restMs) / 1000) * (GIB / bytes),
  };
}

/** Ranges of one file after the other through the gateway, when it remembers the record and when it has to ask for it each time. */
export async function measureRanges(scene: Scene, { crowdBytes, rangeBytes, rangesMs }: Size) {
  const { program, target } = scene.subjects.gateway!;
  const measure = async (isHashed: boolean) => {
    const before = readCpuMs(program.pid);
    const { wallMs, requests } = await scene.ask({
      ranges: {
        ...target(crowdBytes, isHashed),
        sizeBytes: crowdBytes,
        rangeBytes,
        clients: RANGE_CLIENTS,
        forMs: rangesMs,
      },
    });
    return { perSecond: (requests * 1000) / wallMs, cpuUs: ((readCpuMs(program.pid) - before) * 1000) / requests };
  };
  await measure(true);
  return { remembered: await measure(true), forgotten: await measure(false) };
}
