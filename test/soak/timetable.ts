import { setTimeout as sleep } from 'node:timers/promises';
import type { Seeded } from '../chaos/seeded.ts';
import type { Outage } from '../chaos/upstreams/allowed.ts';
import { type Fault, perform, SHORT_FAULTS } from '../chaos/upstreams/faults.ts';
import type { Scene } from '../chaos/upstreams/scene.ts';

/** Between the beginnings of two faults. */
const LEAST_PAUSE_MS = 18_000;
const LONGEST_PAUSE_MS = 30_000;
const FIRST_MS = 8_000;

interface TimetableParts {
  readonly scene: Scene;
  readonly seeded: Seeded;
  readonly stop: AbortSignal;
  /** Gets each fault when it begins. */
  readonly outages: Outage[];
}

/** Breaks something now and then, each kind in its turn, from the warm-up to the end; resolves when `stop` has aborted. */
export async function keepBreaking({ scene, seeded, stop, outages }: TimetableParts): Promise<void> {
  let faults: Fault[] = [];
  await pause(FIRST_MS);
  while (!stop.aborted) {
    if (faults.length === 0) faults = [...SHORT_FAULTS];
    const fault = faults.splice(seeded.whole(0, faults.length - 1), 1)[0]!;
    const outage = { name: fault.name, sick: fault.sick, fromMs: performance.now(), untilMs: Infinity };
    outages.push(outage);
    // Also when the run ends meanwhile: nothing may stay broken.
    outage.untilMs = (await perform(fault, scene)).untilMs;
    await pause(seeded.whole(LEAST_PAUSE_MS, LONGEST_PAUSE_MS));
  }

  function pause(ms: number): Promise<unknown> {
    return sleep(ms, undefined, { signal: stop }).catch(() => {});
  }
}
