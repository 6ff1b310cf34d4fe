import { startProgram } from '../../support/process.ts';

export type Restartable = Awaited<ReturnType<typeof startRestartable>>;

/** An orchestrator process that can be killed and started again on the same database, each time on a port of its own. */
export async function startRestartable(settings: Readonly<Record<string, string>>) {
  const env = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`FOLDFORGE_ORCH__${name}`, value]));
  let { program, port } = await start();

  async function start() {
    const started = startProgram('orchestrator', { env });
    const [, address] = await started.prints(/"address":"127\.0\.0\.1:(\d+)".*"ready"/);
    return { program: started, port: Number(address) };
  }

  /** Ends it, and throws unless it ends as that signal says, without a word on standard error. */
  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const stillRan = program.kill(signal);
    const exitCode = await program.exits();
    const said = program.stderr();
    if (!stillRan) throw new Error(`the orchestrator ended by itself with ${exitCode}: ${said}`);
    if (exitCode !== (signal === 'SIGTERM' ? 0 : null)) {
      throw new Error(`${signal} ended the orchestrator with ${exitCode}: ${said}`);
    }
    if (said !== '') throw new Error(`the orchestrator said: ${said}`);
  }

  return {
    /** Where it listens, or did until it was killed. */
    port: () => port,
    end,
    async restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
      await end(signal);
      ({ program, port } = await start());
    },
  };
}
