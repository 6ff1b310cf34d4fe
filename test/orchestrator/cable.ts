import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

/** A Unix socket in front of the server's own, which can be cut like a cable. */
export async function startCable(databaseUrl: string) {
  const url = new URL(databaseUrl);
  const target = path.join(url.searchParams.get('host')!, '.s.PGSQL.5432');
  const folder = await mkdtemp(path.join(os.tmpdir(), 'foldforge-cable-'));
  const links = new Set<{ readonly near: net.Socket; readonly far: net.Socket; lost: boolean }>();
  let server: net.Server;

  async function mend(): Promise<void> {
    server = net.createServer((near) => {
      const far = net.connect(target);
      const link = { near, far, lost: false };
      links.add(link);
      near.on('error', () => {}).on('close', () => link.lost || far.destroy());
      far
        .on('error', () => {})
        .on('close', () => {
          links.delete(link);
          near.destroy();
        });
      near.pipe(far, { end: false });
      far.pipe(near, { end: false });
    });
    await new Promise<void>((resolve) => server.listen(path.join(folder, '.s.PGSQL.5432'), resolve));
  }
  /** Ends all connections on both sides, and takes no new ones until it is mended. */
  async function cut(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const { near, far } of links) {
      near.destroy();
      far.destroy();
    }
    await closed;
  }
  /** Ends all connections on this side alone: the server does not notice. */
  function lose(): void {
    for (const link of links) {
      link.lost = true;
      link.near.destroy();
    }
  }
  async function close(): Promise<void> {
    await cut();
    await rm(folder, { recursive: true });
  }

  await mend();
  url.searchParams.set('host', folder);
  return { url: url.href, cut, mend, lose, close };
}
