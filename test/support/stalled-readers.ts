import { connect, type Socket } from 'node:net';

/** Sockets that ask for a stream of events and never read a byte of the answer. */
export function openStalledReaders(
  port: number,
  count: number,
  path: string,
  headers: Readonly<Record<string, string>>,
) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const sockets: Socket[] = [];
  for (let index = 0; index < count; index++) {
    const socket = connect(port, '127.0.0.1').pause();
    // Being cut off may come as a reset.
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: test\r\n${lines.join('')}\r\n`);
    sockets.push(socket);
  }
  return {
    leave(): void {
      for (const socket of sockets) socket.destroy();
    },
  };
}
