import net, { type AddressInfo } from 'node:net';

/** How a connection dies, and when: after so many bytes have gone through it in one direction. */
export interface Cut {
  /** `up`: from the client to the target. */
  readonly direction: 'up' | 'down';
  /** Counted from when the cut is laid. 0: with the next byte, which does not go through any more. */
  readonly afterBytes: number;
  /** `reset`: RST on both sides, as after a crash. `end`: FIN on both sides, as when a process is closed. */
  readonly how: 'reset' | 'end';
}

export type TcpCable = Awaited<ReturnType<typeof startTcpCable>>;

interface Link {
  readonly near: net.Socket;
  far?: net.Socket;
  cut?: { readonly how: Cut['how']; readonly direction: Cut['direction']; bytesLeft: number };
}

/**
 * A TCP proxy on 127.0.0.1, whose connections can be cut at any byte. With several targets it is a plain balancer: they
 * take turns, and one that refuses is passed over; all else that it knows of them is nothing. `targets` answers with
 * their ports each time somebody connects.
 */
export async function startTcpCable(targets: () => readonly number[]) {
  const links = new Set<Link>();
  const cutsForNext: Cut[] = [];
  let turn = 0;
  let cuts = 0;

  function accept(near: net.Socket): void {
    const link: Link = { near };
    links.add(link);
    near.on('error', () => {});
    near.once('close', () => {
      links.delete(link);
      link.far?.destroy();
    });
    const ports = targets();
    connect(
      link,
      ports.map((_, index) => ports[(turn + index) % ports.length]!),
    );
    turn++;
  }

  function connect(link: Link, [port, ...others]: readonly number[]): void {
    if (port === undefined) {
      reset(link.near);
      return;
    }
    const far = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const refused = () => {
      if (!link.near.destroyed) connect(link, others);
    };
    far.once('error', refused);
    far.once('connect', () => {
      far.off('error', refused);
      if (link.near.destroyed) {
        far.destroy();
        return;
      }
      link.far = far;
      lay(link, cutsForNext.shift());
      join(link, link.near, far, 'up');
      join(link, far, link.near, 'down');
      link.near.resume();
    });
  }

  function join(link: Link, from: net.Socket, to: net.Socket, direction: Cut['direction']): void {
    from.on('data', (chunk) => {
      const { cut } = link;
      let rest = chunk;
      if (cut?.direction === direction) {
        rest = chunk.subarray(0, cut.bytesLeft);
        cut.bytesLeft -= rest.length;
      }
      if (rest.length > 0 && !to.write(rest)) from.pause();
      if (rest.length < chunk.length) sever(link, cut!.how);
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    from.on('error', () => reset(to));
  }

  function sever({ near, far }: Link, how: Cut['how']): void {
    cuts++;
    for (const socket of [near, far]) {
      if (!socket) continue;
      socket.removeAllListeners('data').removeAllListeners('end');
      if (how === 'reset') {
        reset(socket);
      } else {
        // What still comes is read and lost, or it would hold back the other side's FIN.
        socket.resume().end();
      }
    }
  }

  function lay(link: Link, cut: Cut | undefined): void {
    if (cut) link.cut = { how: cut.how, direction: cut.direction, bytesLeft: cut.afterBytes };
  }

  const server = net.createServer({ pauseOnConnect: true, noDelay: true }, accept);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    port: (server.address() as AddressInfo).port,
    openLinks: () => links.size,
    /** How many connections have been cut so far. */
    cuts: () => cuts,
    /**
     * Lays a cut into one of the open connections that have none: the oldest for `position` 0, the newest just below 1.
     * Returns whether there was one.
     */
    cutOpen(cut: Cut, position: number): boolean {
      const whole = [...links].filter((link) => !link.cut);
      const link = whole[Math.floor(position * whole.length)];
      if (link) lay(link, cut);
      return link !== undefined;
    },
    /** Lays a cut into the next connection that is made. */
    cutNext: (cut: Cut) => void cutsForNext.push(cut),
    /** Takes no more connections, and breaks all that are open. */
    close(): Promise<void> {
      for (const { near } of links) near.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function reset(socket: net.Socket): void {
  // A socket that is being shut down cannot be reset: Node would lose the handle, and go round in circles over it.
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
