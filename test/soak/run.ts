import { setTimeout as sleep } from 'node:timers/promises';
import { createSeeded } from '../chaos/seeded.ts';
import { isRefusedForRoom, type Outage } from '../chaos/upstreams/allowed.ts';
import { findWrong, tell, tellSpells } from '../chaos/upstreams/judge.ts';
import { findLeaks, readSettled } from '../chaos/upstreams/levels-of-gateway.ts';
import { createLoad } from '../chaos/upstreams/load.ts';
import { countKinds, countStatuses } from '../chaos/upstreams/report.ts';
import { checkStored, warmUp } from '../chaos/upstreams/run.ts';
import type { Scene } from '../chaos/upstreams/scene.ts';
import { createReader, type Reading } from './readings.ts';
import { TABLE_HEAD, tableLine } from './table.ts';
import { keepBreaking } from './timetable.ts';
import { judgeGrowth } from './verdict.ts';
import { keepVisiting } from './visitors.ts';

/** Memory that a process has just taken is no growth: a shorter run only tells of it. */
const JUDGED_SECONDS = 300;
/** Until all code is compiled and the heap has its size: a fifth of the run, but this at least. */
const WARM_UP = 0.2;
const LEAST_WARM_UP_SECONDS = 180;
/** Shares of the run. */
const EARLY = 0.15;
const LATE = 0.1;
/** Programs that have just started compile their code first: what comes at full rate then is too much for some seconds. */
const WARM_UPS = 60;
const LINES = 20;
const READ_EVERY_MS = 3_000;
/** Connections that nobody uses are closed within this. */
const LEAKS_MS = 100_000;
const SHORT_SECONDS = 30;
const QUIET_READINGS = 5;
const QUIET_EVERY_MS = 1_000;
const PAGES = ['/openapi.json', '/openapi.yaml'];
const BUILT_PAGES = ['/docs/', '/console/'];

export interface SoakOptions {
  readonly seed: number;
  readonly seconds: number;
  /** By which the rates of the load are multiplied. */
  readonly scale: number;
  /** Whether the gateway has its console and the pages of its documents. */
  readonly hasPages: boolean;
  /** The machine has other things to do: refusals for want of room are not judged. */
  readonly isBusy?: boolean;
  readonly onLine: (line: string) => void;
}

/** All kinds of traffic with faults in between, for some time; answers with what was wrong. */
export async function runSoak(
  scene: Scene,
  { seed, seconds, scale, hasPages, isBusy = false, onLine }: SoakOptions,
): Promise<string[]> {
  const seeded = createSeeded(seed);
  const load = await createLoad(scene, seeded, scale);
  for (let round = 0; round < warmUps(seconds); round++) await warmUp(load);
  load.disconnect();
  const before = await readSettled(scene);
  const outages: Outage[] = [];
  const faults = new Map<string, number>();
  const stop = new AbortController();
  const pages = hasPages ? [...PAGES, ...BUILT_PAGES] : PAGES;
  const visitors = keepVisiting({ scene, load, seeded, outages, pages, faults, scale, isBusy, stop: stop.signal });
  const breaking = keepBreaking({ scene, seeded, stop: stop.signal, outages });
  load.start();

  const beganMs = performance.now();
  const readings = await watch(scene, beganMs, seconds * 1_000, onLine);
  stop.abort();
  await breaking;
  await visitors;
  const settling = await load.stop();
  // Nobody waits until it does so by itself when a run is only to show that it works.
  if (seconds < SHORT_SECONDS) scene.storeWire.hangUp();
  const { leaks, told } = await findLeaks(scene, before, LEAKS_MS);
  const quiet = await rest(scene);
  onLine(`${tableLine(quiet, beganMs)}  at rest`);

  const share = (from: number, to: number) =>
    readings.filter(({ atMs }) => {
      const part = (atMs - beganMs) / (seconds * 1_000);
      return part >= from && part <= to;
    });
  const warmUpShare = warmUpOf(seconds) / seconds;
  const phases = {
    early: share(warmUpShare, warmUpShare + EARLY),
    late: share(1 - LATE, 1),
    half: share(0.5, 1),
    quiet,
  };
  const growth = judgeGrowth(phases);
  const samples = load.samples.all;
  const judged = isBusy ? samples.filter((sample) => !isRefusedForRoom(sample)) : samples;
  const refused = samples.filter(({ status, broken }) => status >= 300 || status === 0 || broken);
  const isJudged = seconds >= JUDGED_SECONDS;
  for (const line of growth.lines) onLine(line);
  if (!isJudged) onLine(`too short to judge growth, which takes ${JUDGED_SECONDS} s`);
  onLine(`asked: ${countKinds(samples)}; ${outages.length} faults`);
  onLine(`not good, under faults: ${countStatuses(refused)}`);
  onLine(told);
  for (const line of tellSpells(judged, outages, beganMs)) onLine(line);
  return [
    ...settling,
    ...(isJudged ? growth.failures : []),
    ...leaks.map((leak) => `leaked, ${LEAKS_MS / 1_000} s after the end: ${leak}`),
    ...tell(findWrong(judged, outages)),
    ...tell([...faults].map(([fault, count]) => `${count}x ${fault}`)),
    ...tell(await checkStored(scene, load)),
    ...[scene.gateway, scene.orchestrator, scene.store].flatMap(({ endings }) => endings),
  ];
}

/** A run that is only to show that it works has no time for more than one. */
const warmUps = (seconds: number): number => (seconds < SHORT_SECONDS ? 1 : WARM_UPS);

function warmUpOf(seconds: number): number {
  return Math.max(seconds * WARM_UP, Math.min(LEAST_WARM_UP_SECONDS, seconds / 2));
}

/** Reads every few seconds until the time is up, and tells the medians of each twentieth of it. */
async function watch(scene: Scene, beganMs: number, forMs: number, onLine: (line: string) => void) {
  const read = createReader(scene);
  const readings: Reading[] = [];
  let untold: Reading[] = [];
  let lines = 0;
  onLine(TABLE_HEAD);
  for (;;) {
    const leftMs = beganMs + forMs - performance.now();
    if (leftMs <= 0) return readings;
    await sleep(Math.min(READ_EVERY_MS, leftMs));
    const reading = await read();
    readings.push(reading);
    untold.push(reading);
    const part = (reading.atMs - beganMs) / forMs;
    if (part * LINES < lines + 1) continue;
    onLine(`${tableLine(untold, beganMs)}${part * forMs <= warmUpOf(forMs / 1_000) * 1_000 ? '  warming up' : ''}`);
    untold = [];
    lines = Math.floor(part * LINES);
  }
}

async function rest(scene: Scene): Promise<Reading[]> {
  const read = createReader(scene);
  const readings: Reading[] = [];
  for (let count = 0; count < QUIET_READINGS; count++) {
    await sleep(QUIET_EVERY_MS);
    readings.push(await read());
  }
  return readings;
}
