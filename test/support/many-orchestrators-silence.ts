import { connect, createServer, type Socket } from 'node:net';
import { listenOnLoopback } from './loopback.ts';

/** Passes TCP connections on to a local port, until it is told to fall silent: what is open stays so, and nothing comes. */
export async function startSilenceableProxy(port: number) {
  const sockets = new Set<Socket>();
  let isSilent = false;
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => to.destroy());
      from.once('close', () => to.destroy());
      from.on('data', (chunk) => {
        if (!isSilent) to.write(chunk);
      });
    }
  });
  const ownPort = await listenOnLoopback(server);
  return {
    endpoint: `http://127.0.0.1:${ownPort}`,
    /** Loses everything from now on, in both directions, as a network does that is cut. */
    fallSilent(): void {
      isSilent = true;
    },
    close(): Promise<void> {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
