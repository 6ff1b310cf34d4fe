import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SERVE = fileURLToPath(new URL('../../examples/browser/serve.mjs', import.meta.url));

/** Runs the server of the browser example on a free port, in front of this gateway. */
export async function startExampleServer(gatewayUrl: string) {
  const child = spawn(process.execPath, [SERVE, '--gateway', gatewayUrl, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [greeting] = await once(child.stdout.setEncoding('utf8'), 'data');
  const [, url, port] = /(http:\/\/127\.0\.0\.1:(\d+))\/eventsource\.html/.exec(greeting)!;
  return {
    url: url!,
    port: Number(port),
    async close(): Promise<void> {
      const exited = once(child, 'exit');
      child.kill();
      await exited;
    },
  };
}
