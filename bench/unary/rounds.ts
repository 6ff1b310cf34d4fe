import type { Round } from '../support/report.ts';
import type { Stage } from '../support/stage.ts';
import { describeRound } from './describe.ts';
import { measureRound, type UnaryEffort, warm } from './measure.ts';
import { inTemporaryFolder, openScene, type Scene, type SceneOptions } from './programs.ts';

const FULL: UnaryEffort = {
  warmMs: 3_000,
  peak: { turns: 8, sliceMs: 600 },
  waiting: { turns: 4, sliceMs: 1_000 },
};
const QUICK: UnaryEffort = {
  warmMs: 250,
  peak: { turns: 2, sliceMs: 200 },
  waiting: { turns: 1, sliceMs: 400 },
};

export interface Measured {
  readonly rounds: readonly Round[];
  /** Of the last round. */
  readonly scene: Scene;
  /** Cores that others used, in each round. */
  readonly othersCores: readonly number[];
}

/** Measures all cases of all programs of a scene, `count` times, each time with new processes. */
export async function measureRounds(
  stage: Stage,
  { area, count, quick }: { readonly area: string; readonly count: number; readonly quick: boolean },
  options: Omit<SceneOptions, 'folder'>,
): Promise<Measured> {
  const effort = quick ? QUICK : FULL;
  const rounds: Round[] = [];
  const othersCores: number[] = [];
  let scene: Scene | undefined;
  for (let round = 1; round <= count; round++) {
    await inTemporaryFolder(async (folder) => {
      try {
        const opened = await stage.turn(() => openScene(stage, { ...options, folder }));
        scene = opened;
        await warm(opened, effort);
        const readOthersCores = stage.watchOthers();
        rounds.push(await measureRound(opened, effort));
        othersCores.push(readOthersCores());
      } finally {
        await stage.clear();
      }
    });
    for (const line of describeRound(rounds.at(-1)!, scene!.cases)) {
      stage.say(`${area}, round ${round} of ${count}, ${line}`);
    }
  }
  return { rounds, scene: scene!, othersCores };
}
