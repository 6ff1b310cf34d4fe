import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from './waiting.ts';

const PROGRAM = fileURLToPath(new URL('fake-orchestrator-program.ts', import.meta.url));

/** The fake orchestrator in a process of its own, with one workflow, so that it can be paused and killed for real. */
export async function startFakeOrchestratorProcess(workflowId: string) {
  let { child, port } = await start(0);

  async function start(wanted: number): Promise<{ child: ChildProcess; port: number }> {
    const started = spawn(process.execPath, [PROGRAM, String(wanted), workflowId], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const listens = within('it to listen', once(createInterface(started.stdout), 'line'), 60_000);
    const [line] = await listens.catch((error: Error) => {
      started.kill('SIGKILL');
      throw error;
    });
    return { child: started, port: Number(line) };
  }

  async function kill(): Promise<void> {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await within('it to end', ended);
  }

  return {
    endpoint: `http://127.0.0.1:${port}`,
    /** Stands still, with all its connections open, until it goes on. */
    pause: () => child.kill('SIGSTOP'),
    goOn: () => child.kill('SIGCONT'),
    kill,
    /** After `kill`: starts another one on its port, and resolves when that listens. */
    async restart(): Promise<void> {
      ({ child, port } = await start(port));
    },
  };
}
