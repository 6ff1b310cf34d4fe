import { setTimeout as sleep } from 'node:timers/promises';
import { answerMessages } from './answer-messages.ts';
import { type HttpConnection, openHttpConnection } from './http-connection.ts';

// Clients that send the same GET with one credential after the other, all in one process.

/** What the benchmark asks of it: a crowd, or callers whose waiting is of interest, or both at the same time. */
export interface RequestsMessage {
  readonly send: {
    readonly port: number;
    readonly path: string;
    /** Each client sends its next request as soon as its last one is answered. */
    readonly crowd?: { readonly tokens: readonly string[]; readonly clients: number };
    /** So many requests a second come, whether the last ones are answered or not. */
    readonly callers?: { readonly tokens: readonly string[]; readonly perSecond: number };
    /** How long both go on, with the first token after the last one. Without it: until the crowd has sent each once. */
    readonly forMs?: number;
  };
}

export interface Tally {
  readonly requests: number;
  /** How many answers had which status. */
  readonly statuses: Readonly<Record<number, number>>;
  readonly perSecond: number;
  /** From when a request was due until all of its answer was there. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface RequestsAnswer {
  readonly crowd: Tally;
  readonly callers: Tally;
}

/** Few enough to be no crowd, and enough that it is seldom a connection's turn before it has its last answer. */
const CALLER_CONNECTIONS = 64;
const TICK_MS = 2;

/** Connections by port: they stay for the next message. */
const connections = new Map<number, HttpConnection[]>();

async function openConnections(port: number, count: number): Promise<readonly HttpConnection[]> {
  // The gateway closes those that were idle for long.
  const open = (connections.get(port) ?? []).filter(({ isOpen }) => isOpen());
  connections.set(port, open);
  while (open.length < count) open.push(await openHttpConnection(port));
  return open;
}

function createTally() {
  const latenciesMs: number[] = [];
  const statuses: Record<number, number> = {};
  const beganAt = performance.now();
  return {
    add(status: number, dueAt: number): void {
      latenciesMs.push(performance.now() - dueAt);
      statuses[status] = (statuses[status] ?? 0) + 1;
    },

    read(): Tally {
      const sorted = Float64Array.from(latenciesMs).sort();
      const quantile = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
      const perSecond = (sorted.length * 1000) / (performance.now() - beganAt);
      return { requests: sorted.length, statuses, perSecond, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
    },
  };
}

answerMessages<RequestsMessage>(async ({ send }): Promise<RequestsAnswer> => {
  const { port, path, crowd = { tokens: [], clients: 0 }, callers = { tokens: [], perSecond: 0 }, forMs } = send;
  const callerConnections = callers.perSecond > 0 ? CALLER_CONNECTIONS : 0;
  const open = await openConnections(port, crowd.clients + callerConnections);
  const crowdTally = createTally();
  const callersTally = createTally();
  const endsAt = performance.now() + (forMs ?? Number.POSITIVE_INFINITY);
  let isOver = false;

  const request = (tokens: readonly string[], index: number) =>
    formatRequest(port, path, tokens[index % tokens.length]!);

  async function sendCrowd(): Promise<void> {
    const { tokens, clients } = crowd;
    let sent = 0;
    const goOn = () => (forMs === undefined ? sent < tokens.length : performance.now() < endsAt);
    const sendOnAndOn = async (connection: HttpConnection) => {
      while (goOn()) {
        const startedAt = performance.now();
        crowdTally.add(await connection.send(request(tokens, sent++)), startedAt);
      }
    };
    await Promise.all(open.slice(0, clients).map(sendOnAndOn));
  }

  async function sendCallers(): Promise<void> {
    const { tokens, perSecond } = callers;
    const lanes = open.slice(crowd.clients).map((connection) => ({ connection, last: Promise.resolve() }));
    const beganAt = performance.now();
    const dueAt = (index: number) => beganAt + (index * 1000) / perSecond;
    for (let sent = 0; !isOver; await sleep(TICK_MS)) {
      for (; dueAt(sent) <= performance.now(); sent++) {
        const index = sent;
        const lane = lanes[index % lanes.length]!;
        const ask = async () => callersTally.add(await lane.connection.send(request(tokens, index)), dueAt(index));
        lane.last = lane.last.then(ask);
      }
    }
    await Promise.all(lanes.map(({ last }) => last));
  }

  const calling = callers.perSecond > 0 ? sendCallers() : undefined;
  await (crowd.clients > 0 ? sendCrowd() : sleep(forMs));
  isOver = true;
  const crowdAnswer = crowdTally.read();
  await calling;
  return { crowd: crowdAnswer, callers: callersTally.read() };
});

/** An empty token sends no credential; `as:<principal>` only says who is calling. */
function formatRequest(port: number, path: string, token: string): string {
  const principal = /^as:(.+)$/.exec(token)?.[1];
  const bearer = token === '' ? '' : `Authorization: Bearer ${token}\r\n`;
  const credential = principal === undefined ? bearer : `X-Bench-Principal: ${principal}\r\n`;
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${credential}\r\n`;
}
