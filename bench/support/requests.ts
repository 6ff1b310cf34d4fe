import { setTimeout as sleep } from 'node:timers/promises';
import { answerMessages } from './answer-messages.ts';
import { type HttpConnection, openHttpConnection } from './http-connection.ts';
import { createTally, type Tally } from './tally.ts';

// Clients that send the same kind of request over and over, with one credential after the other, all in one process.

/** What the benchmark asks of it: a crowd, or callers whose waiting is of interest, or both at the same time. */
export interface RequestsMessage {
  readonly send: {
    readonly port: number;
    /** Default: GET. */
    readonly method?: string;
    /** Several: one after the other. */
    readonly path: string | readonly string[];
    /** JSON. */
    readonly body?: string;
    /** Each client sends its next request as soon as its last one is answered. */
    readonly crowd?: { readonly tokens: readonly string[]; readonly clients: number };
    /** So many requests a second come, whether the last ones are answered or not. */
    readonly callers?: {
      readonly tokens: readonly string[];
      readonly perSecond: number;
      /** Default: few enough to be no crowd. */
      readonly connections?: number;
    };
    /** How long both go on, with the first token after the last one. Without it: until the crowd has sent each once. */
    readonly forMs?: number;
  };
}

export interface RequestsAnswer {
  readonly crowd: Tally;
  readonly callers: Tally;
}

type Send = RequestsMessage['send'];

/** Few enough to be no crowd, and enough that one of them is nearly always free. */
const CALLER_CONNECTIONS = 64;
const TICK_MS = 1;

/** Connections by port: they stay for the next message. */
const connections = new Map<number, HttpConnection[]>();

async function openConnections(port: number, count: number): Promise<readonly HttpConnection[]> {
  // The gateway closes those that were idle for long.
  const open = (connections.get(port) ?? []).filter(({ isOpen }) => isOpen());
  connections.set(port, open);
  while (open.length < count) open.push(await openHttpConnection(port));
  return open;
}

/** Made before the first one is sent: none costs anything while others wait. */
function formatRequests({ port, method = 'GET', path, body }: Send, tokens: readonly string[]): Buffer[] {
  const paths = typeof path === 'string' ? [path] : path;
  // So many that each path meets each credential, where both are few; else each credential goes once.
  const count = tokens.length > paths.length ? tokens.length : tokens.length * paths.length;
  const content =
    body === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  return Array.from({ length: count }, (_, index) => {
    const credential = formatCredential(tokens[index % tokens.length]!);
    const line = `${method} ${paths[index % paths.length]} HTTP/1.1\r\n`;
    return Buffer.from(`${line}Host: 127.0.0.1:${port}\r\n${credential}${content}\r\n${body ?? ''}`);
  });
}

/** An empty token sends no credential; `as:<principal>` only says who is calling. */
function formatCredential(token: string): string {
  if (token === '') return '';
  const principal = /^as:(.+)$/.exec(token)?.[1];
  return principal === undefined ? `Authorization: Bearer ${token}\r\n` : `X-Bench-Principal: ${principal}\r\n`;
}

/** Goes on until `isOver`, and settles when all answers are there. */
function sendCrowd(
  open: readonly HttpConnection[],
  requests: readonly Buffer[],
  isOver: (sent: number) => boolean,
): Promise<Tally> {
  const tally = createTally();
  let sent = 0;
  let done = 0;
  return new Promise((resolve, reject) => {
    for (const connection of open) {
      let sentAt = 0;
      const sendNext = () => {
        if (!isOver(sent)) {
          sentAt = performance.now();
          connection.send(requests[sent++ % requests.length]!);
        } else if (++done === open.length) resolve(tally.read());
      };
      connection.onAnswer = (status) => {
        tally.add(status, performance.now() - sentAt);
        sendNext();
      };
      connection.onLost = reject;
      sendNext();
    }
  });
}

/**
 * At each tick so many requests are due as make up the rate. One that finds no connection free waits, and its time runs: it
 * is the program under test that keeps it waiting. A tick that comes late is nobody's fault but ours: its requests are due
 * when it comes.
 */
function sendCallers(
  open: readonly HttpConnection[],
  requests: readonly Buffer[],
  perSecond: number,
  isOver: () => boolean,
): Promise<Tally> {
  const tally = createTally();
  const free = [...open];
  const waitingSince: number[] = [];
  const startedAt = performance.now();
  let due = 0;
  let sent = 0;
  let answered = 0;
  return new Promise((resolve, reject) => {
    const sendFor = (dueAt: number, connection: HttpConnection) => {
      connection.onAnswer = (status) => {
        tally.add(status, performance.now() - dueAt);
        answered++;
        const next = waitingSince.shift();
        if (next === undefined) free.push(connection);
        else sendFor(next, connection);
      };
      connection.onLost = reject;
      connection.send(requests[sent++ % requests.length]!);
    };
    const timer = setInterval(() => {
      const now = performance.now();
      const target = isOver() ? due : Math.floor(((now - startedAt) * perSecond) / 1000);
      for (; due < target; due++) {
        const connection = free.shift();
        if (connection) sendFor(now, connection);
        else waitingSince.push(now);
      }
      if (!isOver() || answered < due) return;
      clearInterval(timer);
      resolve(tally.read());
    }, TICK_MS);
  });
}

answerMessages<RequestsMessage>(async ({ send }): Promise<RequestsAnswer> => {
  const { port, crowd = { tokens: [], clients: 0 }, forMs } = send;
  const callers: NonNullable<Send['callers']> = send.callers ?? { tokens: [], perSecond: 0 };
  const crowdRequests = formatRequests(send, crowd.tokens);
  const callerRequests = formatRequests(send, callers.tokens);
  const hasCallers = callers.perSecond > 0;
  const { connections: callerConnections = CALLER_CONNECTIONS } = callers;
  const open = await openConnections(port, crowd.clients + (hasCallers ? callerConnections : 0));

  const endsAt = performance.now() + (forMs ?? Number.POSITIVE_INFINITY);
  let isOver = false;
  const calling = hasCallers
    ? sendCallers(open.slice(crowd.clients), callerRequests, callers.perSecond, () => isOver)
    : Promise.resolve(createTally().read());
  const crowding =
    crowd.clients > 0
      ? sendCrowd(open.slice(0, crowd.clients), crowdRequests, (sent) =>
          forMs === undefined ? sent >= crowdRequests.length : performance.now() >= endsAt,
        )
      : sleep(forMs).then(() => createTally().read());
  const ending = crowding.finally(() => {
    isOver = true;
  });
  const [crowdAnswer, callersAnswer] = await Promise.all([crowding, calling, ending]);
  return { crowd: crowdAnswer, callers: callersAnswer };
});
