import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { pinBenchmark } from '../../../bench/support/pinning.ts';
import type { Program } from '../../../bench/support/program.ts';
import { createStage, type Stage } from '../../../bench/support/stage.ts';
import { createTurns } from '../../../bench/support/turns.ts';
import { fileOfProgram } from '../../support/bundled-programs.ts';
import type { AttackerMessage } from './attacker.ts';
import type { BackendAnswer, BackendMessage } from './backend.ts';
import type { Furniture } from './furniture.ts';
import type { Tally } from './tally.ts';
import type { WitnessMessage, WitnessReport, WitnessSighting } from './witness.ts';

const PREFERRED_NICE = -15;
const AUTOGROUP = '/proc/self/autogroup';
const ASK_BOUND_MS = 60_000;
const FOLDER = 'test/chaos/clients';
const NOT_PINNED = { text: 'nothing pinned to a core' };
/** Of the witness: no attack comes from there. */
export const WITNESS_ADDRESS = '127.0.1.1';

export interface SceneOptions {
  /** Give the gateway a core to itself, and keep all others, also this process, off it. */
  readonly pinned: boolean;
  /** Let the gateway, what is behind it and the witness run before all other programs of this machine: for root alone. */
  readonly preferred: boolean;
  readonly newcomers: number;
  readonly largeFileBytes: number;
}

export type Scene = Awaited<ReturnType<typeof startScene>>;

/** The gateway with its default limits, what is behind it, and a witness: each a process of its own. */
export async function startScene({ pinned, preferred, newcomers, largeFileBytes }: SceneOptions) {
  const stage = createStage({ pinning: pinned ? pinBenchmark() : NOT_PINNED, turns: createTurns() });
  const backend = stage.start(`${FOLDER}/backend.ts`, { place: 'rest' });
  const furnish = { folder: stage.makeFolder(), newcomers, largeFileBytes };
  const behind = await backend.ask<BackendAnswer>({ furnish } satisfies BackendMessage, ASK_BOUND_MS);
  const gateway = startGateway(stage, behind);
  const port = await gateway.port();
  const witness = stage.start(`${FOLDER}/witness.ts`, { place: 'rest' });
  const { furniture } = behind;
  if (preferred) prefer([backend, gateway, witness].map(({ pid }) => pid));
  const ask = <Answer>(message: WitnessMessage) => witness.ask<Answer>(message, ASK_BOUND_MS);
  await ask({ meet: { port, address: WITNESS_ADDRESS, furniture } });

  return {
    pinning: stage.pinning,
    port,
    gatewayPid: gateway.pid,
    watchOthers: stage.watchOthers,
    /** Lets the gateway collect its garbage: what it keeps then, it has need of. */
    settle: () => gateway.ask({ settle: true }, ASK_BOUND_MS),
    beginPhase: () => ask<object>({ begin: true }),
    lookAtPhase: () => ask<WitnessSighting>({ look: true }),
    endPhase: () => ask<WitnessReport>({ report: true }),
    startAttack: (name: string, seed: number) => startAttack(stage, { name, port, seed, furniture }),
    close: stage.clear,
  };
}

/**
 * Each thread has a priority of its own (setpriority(2)); and where the kernel shares cores out by session first, so has the
 * session of this process, whose children are all of them (sched(7), autogroup).
 */
function prefer(pids: readonly number[]): void {
  if (existsSync(AUTOGROUP)) writeFileSync(AUTOGROUP, String(PREFERRED_NICE));
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) os.setPriority(Number(thread), PREFERRED_NICE);
  }
}

function startGateway(stage: Stage, { orchestratorUrl, store }: BackendAnswer): Program {
  const settings = {
    BIND_ADDR: '127.0.0.1:0',
    ORCHESTRATOR_ENDPOINT: orchestratorUrl,
    API_KEYS_ENABLED: 'true',
    R2_ENDPOINT: store.url,
    R2_BUCKET: store.bucket,
    R2_ACCESS_KEY_ID: store.accessKeyId,
    R2_SECRET_ACCESS_KEY: store.secretAccessKey,
  };
  return stage.start(fileOfProgram('gateway'), {
    place: 'tested',
    // The first is production's. The others let us ask for its memory without garbage.
    nodeFlags: ['--max-semi-space-size=32', '--expose-gc', '--import=./bench/support/self-report.ts'],
    env: Object.fromEntries(Object.entries(settings).map(([name, value]) => [`FOLDFORGE_GATEWAY__${name}`, value])),
  });
}

/** Begins an attack. `look` says what came of it so far, `leave` ends it. */
async function startAttack(stage: Stage, attack: { name: string; port: number; seed: number; furniture: Furniture }) {
  const attacker = stage.start(`${FOLDER}/attacker.ts`, { place: 'rest' });
  const ask = <Answer>(message: AttackerMessage) => attacker.ask<Answer>(message, ASK_BOUND_MS);
  await ask({ attack });
  return {
    look: () => ask<Tally>({ look: true }),
    async leave(): Promise<Tally> {
      const tally = await ask<Tally>({ leave: true });
      await attacker.stop();
      return tally;
    },
  };
}
