import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { liftLimits } from './lift-limits.ts';
import { type Pinning, type Place, pinBenchmark } from './pinning.ts';
import { readMachineCpuMs, readTreeCpuMs } from './process-usage.ts';
import { killTree, type Program, watchProgram } from './program.ts';
import { createTurns, type Turns } from './turns.ts';

const GATEWAY = 'src/bin/gateway.ts';
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface ProgramOptions {
  readonly place: Place;
  readonly nodeFlags?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Default: a gateway serves the few clients of the benchmark as if they were many. */
  readonly liftsLimits?: boolean;
}

export type Stage = ReturnType<typeof createStage>;

/** What stages that are used at the same time have in common. */
export interface SharedStage {
  readonly pinning: Pinning;
  readonly turns: Turns;
}

export function createSharedStage(): SharedStage {
  return { pinning: pinBenchmark(), turns: createTurns() };
}

interface StageOptions {
  /** Where the product is that is tested: in this checkout, or in another one. All else is the benchmark's own. */
  readonly productRoot?: string;
  /** Told with what it says. */
  readonly name?: string;
}

/** Starts the programs of the benchmark, each a process of its own, and keeps them apart on the cores that it has. */
export function createStage(
  { pinning, turns }: SharedStage = createSharedStage(),
  { productRoot = ROOT, name }: StageOptions = {},
) {
  const running = new Map<ChildProcess, Promise<unknown>>();
  const folders: string[] = [];
  process.once('exit', () => {
    for (const child of running.keys()) killTree(child);
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  return {
    /** Where the programs run, as a sentence for the reader. */
    pinning: pinning.text,

    /** The same for programs in the place `both`. */
    sharing: pinning.cores ? `all on cores ${pinning.cores.both}, nothing pinned to one of them` : pinning.text,

    productRoot,

    /** Tells whoever waits for the end how far it is. */
    say(line: string): void {
      process.stderr.write(name === undefined ? `${line}\n` : `${name}: ${line}\n`);
    },

    /** A new folder, which goes when the benchmark ends. */
    makeFolder(): string {
      const folder = mkdtempSync(path.join(os.tmpdir(), 'foldforge-bench-'));
      folders.push(folder);
      return folder;
    },

    /** Does what must not be disturbed, nor disturb another stage. */
    turn: turns.take,

    /** Runs `file`, a path in the repository, with this Node: what is in `src` comes from the product's root. */
    start(file: string, options: ProgramOptions): Program {
      const { place, nodeFlags = [], args = [], env = {}, liftsLimits = true } = options;
      const pin = pinning.cores ? ['taskset', '-c', pinning.cores[place]] : [];
      const program = file.startsWith('src/') ? path.join(productRoot, file) : file;
      const [command, ...rest] = [...pin, process.execPath, ...nodeFlags, program, ...args];
      const { PATH, HOME, TMPDIR } = process.env;
      const lifted = file === GATEWAY && liftsLimits ? liftLimits(productRoot) : {};
      const inherited = Object.fromEntries(Object.entries({ PATH, HOME, TMPDIR }).filter(([, value]) => value));
      const startedAt = performance.now();
      const child = spawn(command!, rest, {
        cwd: ROOT,
        env: { ...inherited, ...lifted, ...env },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      });
      const ended = once(child, 'exit').then(() => running.delete(child));
      running.set(child, ended);
      return {
        ...watchProgram(file, child, startedAt),
        async stop() {
          killTree(child);
          await ended;
        },
      };
    },

    /**
     * How many cores others use, from now until it is asked: what slows our programs down without being theirs.
     */
    watchOthers(): () => number {
      const readOthersMs = () => readMachineCpuMs() - readTreeCpuMs(process.pid);
      const othersMs = readOthersMs();
      const startedAt = performance.now();
      return () => Math.max(0, readOthersMs() - othersMs) / (performance.now() - startedAt);
    },

    /** Ends all programs at once: nothing that they hold is worth a farewell. */
    async clear(): Promise<void> {
      for (const child of running.keys()) killTree(child);
      await Promise.all(running.values());
    },
  };
}
