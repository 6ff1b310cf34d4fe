import { once } from 'node:events';
import { type ShownSetting, settingsAsLines } from '../shared/shown-settings.ts';
import { EX_USAGE, StartupError } from '../shared/startup-error.ts';

const EX_SOFTWARE = 70;
/** npm passes a terminal's Ctrl-C on to the program that the terminal has told already. */
const SAME_SIGNAL_MS = 500;

/** What a program offers once it runs. */
export interface Running {
  readonly close: () => Promise<void>;
}

/**
 * Aborted by the first SIGTERM or SIGINT, whose name is the reason; a second signal ends the process at once, with 130.
 */
export function abortOnSignals(): AbortSignal {
  const stopping = new AbortController();
  let stoppingSince: number | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stoppingSince !== undefined && performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(130);
      stoppingSince ??= performance.now();
      stopping.abort(signal);
    });
  }
  return stopping.signal;
}

/**
 * Runs a program until SIGTERM or SIGINT, then closes it and exits with 0; a second signal exits at once. A reason not
 * to start is one line on standard error and its exit code, never a stack trace.
 */
export async function runProgram(name: string, start: () => Promise<Running>): Promise<void> {
  const signalled = once(abortOnSignals(), 'abort');
  try {
    const running = await start();
    await signalled;
    await running.close();
    process.exit(0);
  } catch (error) {
    exitWith(name, error);
  }
}

/** Prints why a program cannot go on, and exits. Only a fault of ours shows a stack. */
export function exitWith(name: string, error: unknown): never {
  if (error instanceof StartupError) {
    process.stderr.write(`${name}: ${error.message}\n`);
    process.exit(error.exitCode);
  }
  process.stderr.write(`${name}: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(EX_SOFTWARE);
}

/**
 * Handles `--check-config`: the settings are good, or reading them has thrown; they are printed, without what is secret.
 * Throws for any other argument.
 */
export function readArguments(name: string, args: readonly string[], shown: readonly ShownSetting[] = []): void {
  const [argument, ...rest] = args;
  if (argument === undefined) return;
  if (argument !== '--check-config' || rest.length > 0) {
    throw new StartupError(`unknown argument ${argument}; the only one is --check-config`, EX_USAGE);
  }
  process.stdout.write(`${settingsAsLines(shown)}${name}: the configuration is good\n`);
  process.exit(0);
}
