import { startProgram } from './process.ts';

export type Replica = Awaited<ReturnType<typeof startReplica>>;

/** A gateway process that can be killed and started again, each time on a port of its own. */
export async function startReplica(settings: Readonly<Record<string, string>>) {
  const names = Object.entries({ BIND_ADDR: '127.0.0.1:0', ...settings });
  const env = Object.fromEntries(names.map(([name, value]) => [`FOLDFORGE_GATEWAY__${name}`, value]));
  let { program, port } = await start();

  async function start() {
    const started = startProgram('gateway', { env });
    const [, address] = await started.prints(/"address":"127\.0\.0\.1:(\d+)".*"ready"/);
    return { program: started, port: Number(address) };
  }

  /** Ends it, and throws unless it ends as that signal says, without a word on standard error. */
  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (!program.kill(signal)) throw new Error(`the gateway ended by itself: ${program.stderr()}`);
    const exitCode = await program.exits();
    if (exitCode !== (signal === 'SIGTERM' ? 0 : null)) throw new Error(`${signal} ended the gateway with ${exitCode}`);
    if (program.stderr() !== '') throw new Error(`the gateway said: ${program.stderr()}`);
  }

  return {
    /** Where it listens, or did until it was killed. */
    port: () => port,
    end,
    /** Kills it, waits until it is gone, and starts it again. */
    async restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
      await end(signal);
      ({ program, port } = await start());
    },
  };
}
