import type { Evidence, Outage } from './evidence.ts';
import type { Handover } from './handovers.ts';

/** How long the steps of an orchestrator that is dead, or cut off, may wait for another, in milliseconds. */
export const PICKUP_MS = 15_000;

/** Programs that end by themselves for want of a database say so with this code. */
const EX_UNAVAILABLE = 69;

/** What is wrong with how the others took over, and with programs that ended though nobody had killed them. */
export function checkHandovers({ handovers, outages, endings, endMs }: Evidence): string[] {
  const crashes = endings.filter(({ exitCode }) => exitCode !== EX_UNAVAILABLE);
  return [
    ...handovers.flatMap((handover) => checkHandover(handover, outages, endMs)),
    ...crashes.map(
      ({ name, exitCode, stderr }) => `${name} ended by itself with ${exitCode}: ${stderr.slice(0, 2_000)}`,
    ),
  ];
}

function checkHandover(
  { what, fromMs, untilMs, steps }: Handover,
  outages: readonly Outage[],
  endMs: number,
): string[] {
  const isBack = untilMs <= endMs;
  // While Postgres was away nobody could look; who came back meanwhile still had it.
  if (!steps) return isBack ? [] : [`${what}: nobody could find out what it was running`];
  const late = [...steps].flatMap(([id, takenMs]) => {
    // Whoever came back before that may have finished it.
    const waitedMs = waitingMs({ fromMs, untilMs: takenMs ?? Math.min(untilMs, endMs) }, outages);
    const isLost = takenMs === undefined && !isBack;
    return waitedMs > PICKUP_MS || isLost ? [{ id, takenMs, waitedMs }] : [];
  });
  if (late.length === 0) return [];
  const longest = late.reduce((one, other) => (other.waitedMs > one.waitedMs ? other : one));
  const outcome = longest.takenMs === undefined ? 'and nobody took it' : 'until somebody took it';
  const wait = `${(longest.waitedMs / 1_000).toFixed(1)} s, without Postgres being away, ${outcome}`;
  return [`${what}: ${late.length} of ${steps.size} steps came too late to others; ${longest.id} waited for ${wait}`];
}

/** The longest that a step waited which was taken over, in milliseconds; undefined when none was. */
export function longestPickupMs({ handovers, outages }: Pick<Evidence, 'handovers' | 'outages'>): number | undefined {
  const waits = handovers.flatMap((handover) => listWaits(handover, outages));
  return waits.length > 0 ? Math.max(...waits) : undefined;
}

export function countTaken(handovers: readonly Handover[]): number {
  return handovers.flatMap((handover) => listWaits(handover, [])).length;
}

function listWaits({ fromMs, steps }: Handover, outages: readonly Outage[]): number[] {
  return [...(steps?.values() ?? [])].flatMap((takenMs) =>
    takenMs === undefined ? [] : [waitingMs({ fromMs, untilMs: takenMs }, outages)],
  );
}

/** The length of a time without that in which Postgres was away. */
function waitingMs({ fromMs, untilMs }: Outage, outages: readonly Outage[]): number {
  const awayMs = outages.map((outage) =>
    Math.max(0, Math.min(untilMs, outage.untilMs) - Math.max(fromMs, outage.fromMs)),
  );
  return untilMs - fromMs - awayMs.reduce((sum, ms) => sum + ms, 0);
}
