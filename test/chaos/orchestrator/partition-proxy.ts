import { once } from 'node:events';
import net from 'node:net';
import { findStablePorts } from '../../support/stable-ports.ts';

/**
 * How a network falls apart. `silent`: what is open stays open and carries nothing, and so does what is opened anew.
 * `closed`: what is open carries nothing, and nothing can be opened. `cut`: what is open is reset, and nothing can be opened.
 * Bytes that were held come through in the end, as they do when packets are sent again.
 */
export const PARTITIONS = ['silent', 'closed', 'cut'] as const;
export type Partition = (typeof PARTITIONS)[number];

export type PartitionProxy = Awaited<ReturnType<typeof startPartitionProxy>>;

/** A TCP proxy on a port of 127.0.0.1 that stays the same, in front of another port. */
export async function startPartitionProxy(targetPort: number) {
  const [port] = await findStablePorts(1);
  const links = new Set<{ readonly near: net.Socket; far: net.Socket | undefined }>();
  let partition: Partition | undefined;
  let server = await listen();

  async function listen(): Promise<net.Server> {
    const listening = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, accept);
    listening.listen(port, '127.0.0.1');
    await once(listening, 'listening');
    return listening;
  }

  function accept(near: net.Socket): void {
    const link = { near, far: undefined };
    links.add(link);
    near
      .on('error', () => {})
      .on('close', () => {
        links.delete(link);
        (link.far as net.Socket | undefined)?.destroy();
      });
    if (!partition) connect(link);
  }

  function connect(link: { readonly near: net.Socket; far: net.Socket | undefined }): void {
    const { near } = link;
    const far = net.connect({ port: targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    link.far = far;
    far.on('error', () => {}).on('close', () => near.destroy());
    pass(near, far);
    pass(far, near);
    near.resume();
  }

  function pass(from: net.Socket, to: net.Socket): void {
    from.on('data', (chunk) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => {
      if (!partition) from.resume();
    });
    from.on('end', () => to.end());
  }

  async function stopListening(): Promise<void> {
    // It ends for good when the last connection does, which may be never.
    server.close();
    await new Promise(setImmediate);
  }

  return {
    port: port!,
    async part(how: Partition): Promise<void> {
      partition = how;
      if (how !== 'silent') await stopListening();
      for (const { near, far } of links) {
        for (const socket of [near, far]) {
          if (how === 'cut') socket?.resetAndDestroy();
          else socket?.pause();
        }
      }
    },
    async heal(): Promise<void> {
      const how = partition;
      partition = undefined;
      for (const link of links) {
        if (!link.far) connect(link);
        else for (const socket of [link.near, link.far]) socket.resume();
      }
      if (how === 'closed' || how === 'cut') server = await listen();
    },
    async close(): Promise<void> {
      server.close();
      for (const { near, far } of links) for (const socket of [near, far]) socket?.destroy();
    },
  };
}
