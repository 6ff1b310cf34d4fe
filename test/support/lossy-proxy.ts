import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * Passes TCP connections on to a local port. The first connections are lost, one for each of `budgets`, when as many
 * bytes have come back over them: ended half-way through an answer, or reset, in turns. The others last.
 */
export async function startLossyProxy(port: number, budgets: readonly number[]) {
  const sockets = new Set<Socket>();
  let accepted = 0;
  let losses = 0;

  const server = createServer((client) => {
    const turn = accepted++;
    let left = budgets[turn] ?? Number.POSITIVE_INFINITY;
    const upstream = connect(port, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.once('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on('data', (chunk) => {
      if (chunk.length < left) {
        left -= chunk.length;
        client.write(chunk);
        return;
      }
      losses++;
      upstream.removeAllListeners('data').pause();
      client.write(chunk.subarray(0, left), () => (turn % 2 === 0 ? client.destroy() : client.resetAndDestroy()));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** How many connections were lost so far. */
    losses: () => losses,
    close(): Promise<void> {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
