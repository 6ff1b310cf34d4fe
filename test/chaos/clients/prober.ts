import { connect, type Socket } from 'node:net';
import { startPace } from './pace.ts';

/** A probe that has no answer by then has failed, in milliseconds; and counts as one that took so long. */
const BOUND_MS = 5_000;
const KEPT: Buffer = Buffer.from('GET /v1/healthz HTTP/1.1\r\nHost: gateway.test\r\n\r\n');
const ONLY: Buffer = Buffer.from('GET /v1/healthz HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n');

/** Asks for /v1/healthz at an even pace, in turn on a new connection and on one that is kept, and times each answer. */
export function startProber({ port, address, perSecond }: { port: number; address: string; perSecond: number }) {
  const latenciesMs: number[] = [];
  const failures: string[] = [];
  const idle: Socket[] = [];
  const sockets = new Set<Socket>();
  let pending = 0;
  let turn = 0;

  function open(): Socket {
    const socket = connect({ port, host: '127.0.0.1', localAddress: address, noDelay: true });
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      const index = idle.indexOf(socket);
      if (index >= 0) idle.splice(index, 1);
    });
    return socket;
  }

  function probe(): void {
    const keeps = turn++ % 2 === 0;
    const sentAt = performance.now();
    const socket = (keeps && idle.pop()) || open();
    const what = keeps ? 'a kept connection' : 'a new connection';
    let text = '';
    pending++;
    const settle = (failure?: string) => {
      clearTimeout(timer);
      socket.off('data', read).off('close', lose).off('error', fail);
      pending--;
      latenciesMs.push(failure === undefined ? performance.now() - sentAt : BOUND_MS);
      if (failure !== undefined) failures.push(`healthz on ${what}: ${failure}`);
      if (keeps && failure === undefined && !socket.destroyed && !/^connection: close/im.test(text)) idle.push(socket);
      else socket.destroy();
    };
    const read = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n') || !text.endsWith('}')) return;
      settle(text.startsWith('HTTP/1.1 200 ') ? undefined : text.slice(0, text.indexOf('\r\n')));
    };
    const fail = ({ message }: Error) => settle(message);
    const lose = () => settle(`closed ${text === '' ? 'without an answer' : 'within the answer'}`);
    const timer = setTimeout(() => settle(`no answer within ${BOUND_MS} ms`), BOUND_MS);
    socket.on('data', read).once('close', lose).once('error', fail);
    socket.write(keeps ? KEPT : ONLY);
  }

  const stop = startPace(perSecond, probe);
  return {
    count: () => latenciesMs.length,
    /** Waits for what is under way. */
    async end() {
      const lateMs = stop();
      while (pending > 0) await new Promise((resolve) => setTimeout(resolve, 10));
      for (const socket of sockets) socket.destroy();
      return { latenciesMs, failures, lateMs };
    },
  };
}
