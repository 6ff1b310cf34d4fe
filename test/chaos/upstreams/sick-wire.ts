import { once } from 'node:events';
import net from 'node:net';
import { findStablePorts } from '../../support/stable-ports.ts';
import { createStreamTap, type StreamTap } from './stream-tap.ts';

/**
 * How a network is sick. `slow`: every byte of an answer comes so much later. `trickle`: answers come at so many bytes a
 * second. `silent`: nothing comes through until it is healed, and then all that was held does, as when packets are sent again.
 * `half-open`: what is open is dead for good without a word, and what is opened anew hears nothing until it is healed.
 * `refuse`: what is open is reset, and nothing can be opened.
 */
export type Sickness =
  | { readonly kind: 'slow'; readonly delayMs: number }
  | { readonly kind: 'trickle'; readonly bytesPerSecond: number }
  | { readonly kind: 'silent' | 'half-open' | 'refuse' };

export type SickWire = Awaited<ReturnType<typeof startSickWire>>;

interface Link {
  readonly near: net.Socket;
  far: net.Socket | undefined;
  /** Nothing comes through any more, whatever is healed. */
  isDead: boolean;
  /** What has come back and is not passed on yet. */
  readonly held: { readonly chunk: Buffer; readonly dueAt: number }[];
  timer: NodeJS.Timeout | undefined;
  farEnded: boolean;
  readonly tap: StreamTap | undefined;
}

/** So often a trickle gives a little. */
const TRICKLE_MS = 50;

/** A TCP proxy on a port of 127.0.0.1 that stays the same. With `isHttp2` it counts the streams that go through it. */
export async function startSickWire(targetPort: number, { isHttp2 = false } = {}) {
  const [port] = await findStablePorts(1);
  const links = new Set<Link>();
  let sickness: Sickness | undefined;
  let accepted = 0;
  let streams = 0;
  let server = await listen();

  async function listen(): Promise<net.Server> {
    const options = { pauseOnConnect: true, noDelay: true, allowHalfOpen: true };
    const listening = net.createServer(options, accept).listen(port, '127.0.0.1');
    await once(listening, 'listening');
    return listening;
  }

  function accept(near: net.Socket): void {
    accepted++;
    const tap = isHttp2 ? createStreamTap(() => streams++) : undefined;
    const link: Link = { near, far: undefined, isDead: false, held: [], timer: undefined, farEnded: false, tap };
    links.add(link);
    near.on('error', () => {}).on('close', () => forget(link));
    if (!isHeld()) connect(link);
  }

  function forget(link: Link): void {
    links.delete(link);
    clearTimeout(link.timer);
    link.far?.destroy();
  }

  function connect(link: Link): void {
    const { near, tap } = link;
    const far = net.connect({ port: targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    link.far = far;
    far.on('error', () => {
      if (!link.isDead) near.destroy();
    });
    far.on('data', (chunk: Buffer) => {
      if (link.isDead) return;
      link.held.push({ chunk, dueAt: performance.now() + (sickness?.kind === 'slow' ? sickness.delayMs : 0) });
      // A trickle that runs is not hastened by more behind it.
      if (link.held.length === 1 || sickness?.kind !== 'trickle') deliver(link);
    });
    far.on('end', () => {
      link.farEnded = true;
      deliver(link);
    });
    near.on('data', (chunk: Buffer) => {
      if (link.isDead) return;
      tap?.up(chunk);
      if (!far.write(chunk)) near.pause();
    });
    near.on('end', () => far.end());
    far.on('drain', () => {
      if (!isHeld()) near.resume();
    });
    near.on('drain', () => far.resume());
    near.resume();
  }

  function isHeld(): boolean {
    return sickness?.kind === 'silent' || sickness?.kind === 'half-open';
  }

  /** Passes on what is due, and comes back for the rest. */
  function deliver(link: Link): void {
    clearTimeout(link.timer);
    if (link.isDead || isHeld()) return;
    const { near, far, held } = link;
    let allowance = sickness?.kind === 'trickle' ? (sickness.bytesPerSecond * TRICKLE_MS) / 1_000 : Infinity;
    while (held.length > 0 && allowance > 0) {
      const { chunk, dueAt } = held[0]!;
      if (sickness?.kind === 'slow' && dueAt > performance.now()) break;
      const part = chunk.subarray(0, allowance);
      allowance -= part.length;
      if (part.length === chunk.length) held.shift();
      else held[0] = { chunk: chunk.subarray(part.length), dueAt };
      link.tap?.down(part);
      if (!near.write(part)) far?.pause();
    }
    if (held.length === 0) {
      if (link.farEnded) near.end();
      return;
    }
    const waitMs = sickness?.kind === 'slow' ? Math.max(1, held[0]!.dueAt - performance.now()) : TRICKLE_MS;
    link.timer = setTimeout(deliver, waitMs, link);
  }

  return {
    port: port!,
    /** Connections that are open now. */
    openLinks: () => links.size,
    /** Connections so far. */
    accepted: () => accepted,
    /** HTTP/2 requests so far. */
    streams: () => streams,
    /** HTTP/2 streams that are open now. */
    openStreams: () => [...links].reduce((sum, { tap }) => sum + (tap?.open() ?? 0), 0),

    async sicken(how: Sickness): Promise<void> {
      sickness = how;
      if (how.kind === 'refuse') {
        // It ends for good when the last connection does.
        server.close();
        for (const { near, far } of links) for (const socket of [near, far]) socket?.resetAndDestroy();
      }
      for (const link of links) {
        if (how.kind === 'half-open') {
          link.isDead = true;
          link.far?.destroy();
          // What is sent is read, and lost: a kernel would take some of it, too.
          link.near.on('end', () => link.near.destroy()).resume();
        } else if (how.kind === 'silent') link.near.pause();
      }
      await new Promise(setImmediate);
    },

    async heal(): Promise<void> {
      const healed = sickness?.kind;
      sickness = undefined;
      for (const link of links) {
        if (link.isDead) continue;
        if (!link.far) connect(link);
        else link.near.resume();
        deliver(link);
      }
      if (healed === 'refuse') server = await listen();
    },

    /** Ends all connections, as a server does with those that nobody uses. */
    hangUp(): void {
      for (const { near, far } of links) for (const socket of [near, far]) socket?.end();
    },

    async close(): Promise<void> {
      server.close();
      for (const link of links) {
        link.near.destroy();
        forget(link);
      }
    },
  };
}
