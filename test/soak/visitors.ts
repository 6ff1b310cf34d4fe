import { setTimeout as sleep } from 'node:timers/promises';
import type { Seeded } from '../chaos/seeded.ts';
import type { Outage } from '../chaos/upstreams/allowed.ts';
import type { Load } from '../chaos/upstreams/load.ts';
import type { Scene } from '../chaos/upstreams/scene.ts';
import { within } from '../support/waiting.ts';
import { createExtras } from './extras.ts';
import { createStrangers } from './strangers.ts';

/** What is under way when the run ends may take so long: a revoked key is watched until it is refused. */
const SETTLE_MS = 60_000;

interface VisitorsParts {
  readonly scene: Scene;
  readonly load: Load;
  readonly seeded: Seeded;
  readonly outages: readonly Outage[];
  readonly pages: readonly string[];
  readonly scale: number;
  /** Whether anybody may be refused for want of room. */
  readonly isBusy: boolean;
  readonly stop: AbortSignal;
  /** Gets what was wrong, with how often it was. */
  readonly faults: Map<string, number>;
}

/** Keeps all the others coming, honest and not, at random times; resolves when `stop` has aborted and all have left. */
export async function keepVisiting(parts: VisitorsParts): Promise<void> {
  const { scene, load, seeded, outages, pages, scale, stop, faults } = parts;
  const extras = createExtras({ scene, load, seeded, pages });
  const strangers = createStrangers({ port: scene.port, seeded, outages, isBusy: parts.isBusy });
  const underWay = new Set<Promise<unknown>>();
  const holder = () => seeded.pick(load.holders);

  /** How often a second each of them comes. */
  const visits: readonly (readonly [perSecond: number, visit: () => Promise<string | undefined>])[] = [
    [1 * scale, () => extras.comeAndGo(holder())],
    [0.5 * scale, () => extras.leaveFile(holder())],
    [0.5 * scale, () => extras.openPage()],
    [1 * scale, () => extras.askOnce(holder())],
    [0.05, () => extras.revokeKey()],
    [2, () => strangers.sendJunk(holder())],
    [0.1, () => strangers.holdHead()],
    [0.3, () => strangers.holdBody(holder())],
    [0.3, () => strangers.neverRead(holder())],
  ];

  function tell(fault: string | undefined): void {
    if (fault) faults.set(fault, (faults.get(fault) ?? 0) + 1);
  }

  async function keepComing(perSecond: number, visit: () => Promise<string | undefined>): Promise<void> {
    let dueMs = performance.now();
    for (;;) {
      dueMs += (-Math.log(1 - seeded.fraction()) / perSecond) * 1_000;
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal: stop });
      const visiting = visit().then(tell, (error: Error) => tell(error.message));
      underWay.add(visiting);
      void visiting.finally(() => underWay.delete(visiting));
    }
  }

  await Promise.allSettled(visits.map(([perSecond, visit]) => keepComing(perSecond, visit)));
  const leaving = (async () => {
    while (underWay.size > 0) await Promise.all(underWay);
  })();
  await within('all visitors to leave', leaving, SETTLE_MS).catch((error: Error) => tell(error.message));
}
