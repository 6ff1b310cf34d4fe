import type { Worker } from 'node:cluster';

interface Handle {
  close(): void;
}

/** How long the channel of a process that has ended may have something left to read, in milliseconds. */
const LAST_WORDS_MS = 200;

/**
 * Mends what node:cluster does when a worker dies while a connection is on its way to it, of which there is at most one. It
 * keeps that connection open for ever, so its client would never hear a word; and as it goes on waiting for the worker to
 * confirm it, it never says that the channel is closed.
 */
export function closeLostConnection(worker: Worker): void {
  const { process: child } = worker;
  const send = child.send.bind(child) as (...args: unknown[]) => boolean;
  let lastSent: Handle | undefined;
  let disconnected = false;
  child.send = (...args: unknown[]) => {
    lastSent = (args[1] as Handle | undefined) ?? lastSent;
    return send(...args);
  };
  worker.once('disconnect', () => {
    disconnected = true;
    // It does nothing to one that the worker took, which is closed here already.
    lastSent?.close();
  });
  worker.once('exit', () => {
    lastSent?.close();
    if (!disconnected) setTimeout(() => disconnected || child.emit('disconnect'), LAST_WORDS_MS);
  });
}
