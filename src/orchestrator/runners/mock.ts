import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Log } from '../../shared/log.ts';
import type { PutArtifact } from './artifact-writer.ts';
import { beginRuns } from './begin-runs.ts';
import { simulateAf2 } from './mock/af2.ts';
import { readBehaviour } from './mock/behaviour.ts';
import { simulateBoltz } from './mock/boltz.ts';
import { simulateProteinmpnn } from './mock/proteinmpnn.ts';
import { simulateRfdiffusion } from './mock/rfdiffusion.ts';
import { seedOf } from './mock/seed.ts';
import type { Simulate } from './mock/simulation.ts';
import type { ArtifactRecord, OnProgress, Runner, StepJob, StepOutput, Tool } from './runner.ts';
import { StepFailure } from './step-failure.ts';
import { createUpload } from './upload.ts';

export interface MockRunnerOptions {
  /** About how long a step takes; 0 is at once. */
  readonly stepSeconds: number;
  readonly putArtifact: PutArtifact;
  /** Where the cause of a failed upload goes, which the fault does not tell. */
  readonly log?: Log;
}

/** `pace` is the tool's share of stepSeconds. */
const TOOLS: Readonly<Record<Tool, { readonly simulate: Simulate; readonly pace: number }>> = {
  rfdiffusion: { simulate: simulateRfdiffusion, pace: 1.2 },
  proteinmpnn: { simulate: simulateProteinmpnn, pace: 0.6 },
  boltz: { simulate: simulateBoltz, pace: 1.1 },
  af2: { simulate: simulateAf2, pace: 1 },
};

/**
 * Does believable work without a GPU: the files are real ones, of proteins that no model designed. Results follow from
 * the tool, its parameters and its inputs alone. `params.mock` makes a run slow or faulty (see readBehaviour).
 */
export function createMockRunner({ stepSeconds, putArtifact, log }: MockRunnerOptions): Runner {
  const upload = createUpload(putArtifact, log);
  let turn: Promise<unknown> = Promise.resolve();

  /** Making files keeps the processor busy: one step at a time does it, and everything else has its turn in between. */
  function takeTurn<T>(make: () => T, signal: AbortSignal): Promise<T> {
    const made = turn.then(async () => {
      await pause(0, signal);
      return make();
    });
    turn = made.catch(() => {});
    return made;
  }

  async function work(job: StepJob, onProgress: OnProgress, signal: AbortSignal): Promise<StepOutput> {
    const { simulate, pace } = TOOLS[job.tool];
    const behaviour = readBehaviour(job.params, job.attempt);
    const { messages, sequences, results } = simulate(job.params, Object.values(job.inputs), seedOf(job));
    const seconds = behaviour.seconds ?? stepSeconds * pace;
    const pauseMs = (seconds * 1000) / messages.length;
    const breakAt = behaviour.fault && Math.ceil(messages.length / 2);
    for (const [index, message] of messages.entries()) {
      if (behaviour.fault && index === breakAt) throw new StepFailure(behaviour.fault);
      onProgress({ fraction: index / messages.length, message });
      await pause(pauseMs, signal);
    }
    const artifacts: ArtifactRecord[] = [];
    for (const makeFiles of results) {
      for (const file of await takeTurn(makeFiles, signal)) artifacts.push(await upload(job, file, signal));
    }
    return { artifacts, sequences };
  }

  // It does not know which parameters the real tools have, and ignores those that it does not use.
  return { findFault: () => undefined, ...beginRuns(work, 'the mock runner was closed') };
}

/** Rejects as soon as `signal` aborts. Without a time to wait it only lets others have their turn. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await setTimeout(ms, undefined, { signal });
  else await setImmediate(undefined, { signal });
}
