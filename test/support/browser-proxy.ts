import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type BrowserProxy = Awaited<ReturnType<typeof startBrowserProxy>>;

/** Stands between a browser and a server on this machine, and loses their connections in every way that a network can. */
export async function startBrowserProxy(targetPort: number) {
  const sockets = new Set<Socket>();
  /** The connections, both halves of each, that carry a stream of events. */
  const streams = new Set<Socket>();
  const requests: string[] = [];
  const statuses: number[] = [];
  let withheldText: string | undefined;

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      sockets.delete(socket);
      streams.delete(socket);
    });
  }

  function toBrowser(bytes: Buffer, browser: Socket, target: Socket): void {
    const text = bytes.toString('latin1');
    for (const [, status] of text.matchAll(/^HTTP\/1\.1 (\d+) /gm)) statuses.push(Number(status));
    if (/^content-type: text\/event-stream\r$/im.test(text)) streams.add(browser).add(target);
    const start = withheldText === undefined ? -1 : text.indexOf(withheldText);
    if (start !== -1) {
      withheldText = undefined;
      browser.write(bytes.subarray(0, start));
      target.removeAllListeners('data').pause();
      return;
    }
    // Of the same length, so that no test has to wait for the seconds that a server says.
    browser.write(Buffer.from(text.replace(/^retry: \d{4}$/gm, 'retry: 0100'), 'latin1'));
  }

  const server = createServer((browser) => {
    const target = connect(targetPort, '127.0.0.1');
    keep(browser);
    keep(target);
    browser.on('data', (bytes) => {
      const lines = bytes.toString('latin1').matchAll(/^([A-Z]+ \S+) HTTP\/1\.1\r$/gm);
      for (const [, line] of lines) requests.push(line!);
      target.write(bytes);
    });
    target.on('data', (bytes) => toBrowser(bytes, browser, target));
    browser.once('close', () => target.destroy());
    target.once('close', () => browser.end());
  });

  const listen = (port: number) => once(server.listen(port, '127.0.0.1'), 'listening');
  await listen(0);
  const { port } = server.address() as AddressInfo;

  function cut(): void {
    for (const socket of sockets) socket.destroy();
  }

  return {
    url: `http://127.0.0.1:${port}`,
    /** The method and the target of every request that passed, as the server saw them. */
    requests,
    /** The status of every answer. */
    statuses,
    /** Breaks every connection and takes no new one. */
    async goAway(): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      cut();
      await closed;
    },
    /** Takes connections again. */
    async comeBack(): Promise<void> {
      await listen(port);
    },
    /** Leaves the streams open, and lets nothing more through them. The other connections break. */
    fallSilent(): void {
      for (const socket of sockets) {
        if (streams.has(socket)) socket.removeAllListeners('data').pause();
        else socket.destroy();
      }
    },
    /** Lets nothing through any more on the next connection on which the server sends this text, from there on. */
    withholdFrom(text: string): void {
      withheldText = text;
    },
    /** Breaks every connection. */
    cut,
    async close(): Promise<void> {
      cut();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}
