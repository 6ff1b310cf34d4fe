import { setTimeout as sleep } from 'node:timers/promises';
import type { Upstream } from './allowed.ts';
import type { Scene } from './scene.ts';
import type { Sickness, SickWire } from './sick-wire.ts';

/** Something that can happen to what is behind the gateway. */
export interface Fault {
  readonly name: string;
  readonly sick: readonly Upstream[];
  /** How long it lasts. */
  readonly forMs: number;
  begin(scene: Scene): Promise<void>;
  /** Resolves when what was sick is well: it listens, it runs, its wire is whole. */
  end(scene: Scene): Promise<void>;
}

type Program = 'orchestrator' | 'store';
type Wire = 'rpcWire' | 'storeWire';

/** All of them, in the order in which a round has them. */
export const FAULTS: readonly Fault[] = [
  kill('orchestrator', 1_000),
  pause('orchestrator', 'paused', 3_000),
  // For longer than the gateway waits for an answer.
  pause('orchestrator', 'hung', 13_000),
  sicken('orchestrator', 'rpcWire', 'slow-500ms', 4_000, { kind: 'slow', delayMs: 500 }),
  sicken('orchestrator', 'rpcWire', 'slow-3s', 8_000, { kind: 'slow', delayMs: 3_000 }),
  sicken('orchestrator', 'rpcWire', 'trickle', 5_000, { kind: 'trickle', bytesPerSecond: 2_000 }),
  sicken('orchestrator', 'rpcWire', 'silent', 4_000, { kind: 'silent' }),
  // For as long as it takes to see that nobody is there any more.
  sicken('orchestrator', 'rpcWire', 'half-open', 10_000, { kind: 'half-open' }),
  sicken('orchestrator', 'rpcWire', 'refused', 3_000, { kind: 'refuse' }),
  {
    name: 'database paused',
    sick: ['database'],
    forMs: 4_000,
    begin: ({ database }) => database.pause(),
    end: async ({ database }) => database.resume(),
  },
  kill('store', 1_000),
  pause('store', 'paused', 3_000),
  sicken('store', 'storeWire', 'slow-3s', 6_000, { kind: 'slow', delayMs: 3_000 }),
  sicken('store', 'storeWire', 'trickle', 6_000, { kind: 'trickle', bytesPerSecond: 8_000 }),
  sicken('store', 'storeWire', 'half-open', 6_000, { kind: 'half-open' }),
  sicken('store', 'storeWire', 'refused', 3_000, { kind: 'refuse' }),
  both('both killed', kill('orchestrator', 1_000), kill('store', 1_000)),
  both('both paused', pause('orchestrator', 'paused', 3_000), pause('store', 'paused', 3_000)),
];

/** What a system goes through now and then, each for about a second. */
export const SHORT_FAULTS: readonly Fault[] = [
  kill('orchestrator', 500),
  pause('orchestrator', 'paused', 1_000),
  sicken('orchestrator', 'rpcWire', 'silent', 1_000, { kind: 'silent' }),
  sicken('orchestrator', 'rpcWire', 'refused', 500, { kind: 'refuse' }),
  kill('store', 500),
  pause('store', 'paused', 1_000),
  sicken('store', 'storeWire', 'refused', 500, { kind: 'refuse' }),
];

/** Performs one; answers with when it began and when it was over, by performance.now(). */
export async function perform(fault: Fault, scene: Scene): Promise<{ fromMs: number; untilMs: number }> {
  const fromMs = performance.now();
  await fault.begin(scene);
  await sleep(fault.forMs);
  await fault.end(scene);
  return { fromMs, untilMs: performance.now() };
}

function kill(program: Program, forMs: number): Fault {
  return {
    name: `${program} killed`,
    sick: [program],
    forMs,
    begin: (scene) => scene[program].end('SIGKILL'),
    end: (scene) => scene[program].start(),
  };
}

function pause(program: Program, how: string, forMs: number): Fault {
  return {
    name: `${program} ${how}`,
    sick: [program],
    forMs,
    begin: async (scene) => scene[program].pause(),
    end: async (scene) => scene[program].resume(),
  };
}

function sicken(program: Program, wire: Wire, how: string, forMs: number, sickness: Sickness): Fault {
  const wireOf = (scene: Scene): SickWire => scene[wire];
  return {
    name: `${program} ${how}`,
    sick: [program],
    forMs,
    begin: (scene) => wireOf(scene).sicken(sickness),
    end: (scene) => wireOf(scene).heal(),
  };
}

function both(name: string, one: Fault, other: Fault): Fault {
  return {
    name,
    sick: [...one.sick, ...other.sick],
    forMs: Math.max(one.forMs, other.forMs),
    begin: async (scene) => void (await Promise.all([one.begin(scene), other.begin(scene)])),
    end: async (scene) => void (await Promise.all([one.end(scene), other.end(scene)])),
  };
}
