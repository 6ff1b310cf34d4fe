import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const LISTEN_BOUND_MS = 10_000;

/** For a program that says its port before it listens. Throws when it does not do so in time. */
export async function untilListens(port: number): Promise<void> {
  const deadline = performance.now() + LISTEN_BOUND_MS;
  while (!(await listens(port))) {
    if (performance.now() > deadline) throw new Error(`nobody listens on port ${port}`);
    await sleep(20);
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
