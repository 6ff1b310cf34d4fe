import { setTimeout as sleep } from 'node:timers/promises';
import { ATTACKS } from './attacks.ts';
import { BOUNDS, type Bounds, judge } from './judge.ts';
import { type PhaseReport, type PhaseSighting, playPhase } from './phase.ts';
import { startScene } from './scene.ts';

const MEGABYTE = 1024 * 1024;
const FULL = { newcomers: 2_000, largeFileBytes: 64 * MEGABYTE };
/** Between two phases: what is refused by the second is allowed again after it. */
const QUIET_MS = 2_000;
const WARM_SECONDS = 3;

export interface ClientsOptions {
  readonly seed: number;
  /** How long each attack goes on. */
  readonly seconds: number;
  /** Names of attacks; all of them when it is left out. */
  readonly only?: readonly string[] | undefined;
  readonly pinned?: boolean;
  readonly preferred?: boolean;
  readonly bounds?: Bounds;
  /** How long the gateway is used by the honest client alone before the first phase. */
  readonly warmSeconds?: number;
  readonly largeFileBytes?: number;
  /** Between two phases. */
  readonly quietMs?: number;
  /** A phase of which this does not hold goes on longer. */
  readonly isEnough?: (seen: PhaseSighting) => boolean;
  readonly onStart?: (about: { pinning: string }) => void;
  readonly onPhase?: (report: PhaseReport, failures: readonly string[]) => void;
}

/** One attack after the other on one gateway, and first a phase without any. Answers with all that failed. */
export async function runClients({
  seed,
  seconds,
  only = Object.keys(ATTACKS),
  pinned = true,
  preferred = false,
  bounds = BOUNDS,
  warmSeconds = WARM_SECONDS,
  largeFileBytes = FULL.largeFileBytes,
  quietMs = QUIET_MS,
  isEnough,
  onStart,
  onPhase,
}: ClientsOptions): Promise<{ readonly failures: readonly string[]; readonly reports: readonly PhaseReport[] }> {
  const scene = await startScene({ ...FULL, pinned, preferred, largeFileBytes });
  const failures: string[] = [];
  const reports: PhaseReport[] = [];
  try {
    onStart?.({ pinning: scene.pinning });
    await playPhase(scene, { attack: undefined, seconds: warmSeconds, seed });
    for (const attack of [undefined, ...only]) {
      const report = await playPhase(scene, { attack, seconds, seed, isEnough });
      const faults = judge(report, bounds);
      reports.push(report);
      failures.push(...faults.map((fault) => `${report.name}: ${fault}`));
      onPhase?.(report, faults);
      await sleep(quietMs);
    }
  } finally {
    await scene.close();
  }
  return { failures, reports };
}
