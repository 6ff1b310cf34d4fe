import { createApiClient } from './api.ts';
import { ApiError, ConnectionError } from './api-error.ts';
import { readArguments, type Wish } from './arguments.ts';
import type { CallerOptions } from './call.ts';
import { readClientConfig } from './client-config.ts';
import { exitCodeOfError, exitCodeOfSignal } from './exit-codes.ts';
import { formatHelp } from './help.ts';
import { createOutput, createTroubleNotes, type Output, printable, type Sink } from './output.ts';

export interface CliWorld extends Pick<CallerOptions, 'fetch' | 'clock'> {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly readStdin: () => Promise<string>;
  /** Aborted by a signal, whose name is the reason. */
  readonly signal: AbortSignal;
}

/** Runs the command line client. Answers with the exit code; throws only what is a fault of ours. */
export async function runCli(world: CliWorld): Promise<number> {
  const output = createOutput({ ...world, isJson: false });
  try {
    const wish = readArguments(world.args);
    if (wish.kind === 'command') return await runCommand(wish, world);
    output.print(wish.kind === 'version' ? `foldforge ${world.version}` : formatHelp(wish.name));
    return 0;
  } catch (error) {
    if (world.signal.aborted) return exitCodeOfSignal(world.signal.reason);
    const exitCode = exitCodeOfError(error);
    if (exitCode === undefined) throw error;
    explain(error as Error, output);
    return exitCode;
  }
}

async function runCommand(wish: Extract<Wish, { kind: 'command' }>, world: CliWorld): Promise<number> {
  const { environment, version, signal, readStdin, fetch, clock } = world;
  const { command, isJson, timeoutMs, positionals, values } = wish;
  const output = createOutput({ ...world, isJson });
  const { url, token } = readClientConfig(environment, wish.url);
  const onTrouble = createTroubleNotes((line) => output.note(`foldforge: ${line}`));
  const userAgent = `foldforge/${version}`;
  const api = createApiClient({
    url,
    token,
    userAgent,
    timeoutMs,
    signal,
    onTrouble,
    ...(fetch && { fetch }),
    ...(clock && { clock }),
  });
  return command.run({ values, positionals, api, output, timeoutMs, readStdin });
}

/** What went wrong, on standard error. */
function explain(error: Error, { note }: Output): void {
  const message = error instanceof ConnectionError ? `the server cannot be reached: ${error.message}` : error.message;
  note(`foldforge: ${printable(message)}`);
  if (!(error instanceof ApiError)) return;
  for (const fault of error.faults) note(printable(`  ${fault.pointer}: ${fault.message}`));
  if (error.retryAfterMs !== undefined) note(`  it can be repeated in ${Math.ceil(error.retryAfterMs / 1000)} s`);
  if (error.requestId) note(printable(`  request id: ${error.requestId}`));
}
