import { setTimeout as sleep } from 'node:timers/promises';
import { ATTACKS } from './attacks.ts';
import { lagP99Seconds, readCounters, readHeldBytes, tellRefusals } from './counters.ts';
import { type Scene, WITNESS_ADDRESS } from './scene.ts';
import type { Tally } from './tally.ts';
import { awaitFds, readVitals, type Vitals, watchPeaks } from './vitals.ts';
import type { WitnessReport, WitnessSighting } from './witness.ts';

/** How much was seen of one attack, or of a time without one. */
export interface PhaseSighting extends WitnessSighting {
  readonly name: string;
  /** How long it was to go on. */
  readonly seconds: number;
  /** Undefined: nobody attacked. */
  readonly tally: Tally | undefined;
  /** Why the attack proves nothing. */
  readonly doubt: string | undefined;
  readonly before: Vitals;
  readonly peak: Pick<Vitals, 'rssBytes' | 'fds'>;
}

/** What was seen of it. */
export interface PhaseReport extends Omit<PhaseSighting, keyof WitnessSighting>, WitnessReport {
  readonly after: Vitals;
  /** What JavaScript held before and after, without garbage, in bytes. */
  readonly heldBytes: readonly [before: number, after: number];
  /** How long it took until the gateway had closed what the attack had opened. */
  readonly closedAfterMs: number;
  /** How much of its core the gateway used. */
  readonly cpuShare: number;
  readonly lagP99Ms: number;
  /** What the gateway counted as refused or failed. */
  readonly refusals: readonly string[];
  /** How many cores programs used that are none of ours. */
  readonly othersCores: number;
}

interface PhaseOptions {
  /** Undefined: nobody attacks. */
  readonly attack: string | undefined;
  readonly seconds: number;
  readonly seed: number;
  /** Unless it holds after so many seconds, the phase goes on until it does, but no longer than LONGEST_MS. */
  readonly isEnough?: ((seen: PhaseSighting) => boolean) | undefined;
}

/** How long a phase goes on that does not show what it must, in milliseconds; and how often it is looked at. */
const LONGEST_MS = 60_000;
const LOOK_MS = 100;

/** Files that the gateway may have open more than before: kept connections to the store and of the witness. */
export const SPARE_FDS = 40;
/** The longest that the gateway may take to close what the attack has left, in milliseconds. */
export const CLOSE_BOUND_MS = 15_000;

/** Lets the attack go on for so many seconds, watched by the witness, and waits until its traces are gone. */
export async function playPhase(scene: Scene, options: PhaseOptions): Promise<PhaseReport> {
  const { attack, seconds, seed, isEnough } = options;
  const { gatewayPid, port } = scene;
  const name = attack ?? 'nobody attacks';
  await scene.settle();
  const countersBefore = await readCounters(port, WITNESS_ADDRESS);
  const before = readVitals(gatewayPid);
  const peaks = watchPeaks(gatewayPid);
  const others = scene.watchOthers();
  const beganAt = performance.now();
  await scene.beginPhase();
  const attacker = attack === undefined ? undefined : await scene.startAttack(attack, seed);
  const doubtOf = (tally: Tally | undefined) => attack && tally && ATTACKS[attack]!.doubt(tally, seconds);
  const look = async (): Promise<PhaseSighting> => {
    const [witnessed, tally] = await Promise.all([scene.lookAtPhase(), attacker?.look()]);
    return { ...witnessed, name, seconds, tally, doubt: doubtOf(tally), before, peak: peaks.peak() };
  };
  await sleep(seconds * 1_000);
  while (isEnough && !isEnough(await look()) && performance.now() - beganAt < LONGEST_MS) await sleep(LOOK_MS);
  const cpuShare = (readVitals(gatewayPid).cpuMs - before.cpuMs) / (performance.now() - beganAt);
  const othersCores = others();
  // The witness goes on: that all connections of an attack end at once is part of it.
  const tally = await attacker?.leave();
  const witnessed = await scene.endPhase();
  const peak = peaks.peak();
  peaks.end();
  const { tookMs } = await awaitFds(gatewayPid, before.fds + SPARE_FDS, CLOSE_BOUND_MS);
  await scene.settle();
  const countersAfter = await readCounters(port, WITNESS_ADDRESS);
  return {
    ...witnessed,
    name,
    seconds,
    tally,
    doubt: doubtOf(tally),
    before,
    peak,
    after: readVitals(gatewayPid),
    heldBytes: [readHeldBytes(countersBefore), readHeldBytes(countersAfter)],
    closedAfterMs: tookMs,
    cpuShare,
    lagP99Ms: lagP99Seconds(countersBefore, countersAfter) * 1_000,
    refusals: tellRefusals(countersBefore, countersAfter),
    othersCores,
  };
}
