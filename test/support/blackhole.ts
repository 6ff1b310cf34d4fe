import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';

// A listener of a thread that never runs again accepts nothing, so its queue stays as full as it is.
const SOURCE = `
  const { parentPort } = require('node:worker_threads');
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });`;

/** An address where a connection is neither accepted nor refused. */
export async function startBlackhole() {
  const worker = new Worker(SOURCE, { eval: true });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers: Socket[] = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  await once(fillers[0]!, 'connect');
  return {
    url: `http://127.0.0.1:${port}`,
    async close(): Promise<void> {
      for (const socket of fillers) socket.destroy();
      await worker.terminate();
    },
  };
}
