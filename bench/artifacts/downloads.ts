import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerMessages } from '../support/answer-messages.ts';
import { createTally } from '../support/tally.ts';
import { openDownloadConnection } from './download.ts';

// Clients that download, all in one process.

export interface Target {
  readonly port: number;
  readonly path: string;
  /** An empty one sends no credential. */
  readonly token: string;
}

/** What the benchmark asks of it. */
export type DownloadsMessage =
  /** So many downloads at the same time, and besides, until these are whole, slow ones of the same. */
  | {
      readonly whole: Target & {
        readonly sizeBytes: number;
        readonly fast: number;
        readonly slow: number;
        readonly slowBytesPerSecond: number;
      };
    }
  /** To tell the hash of what came. */
  | { readonly hash: Target & { readonly sizeBytes: number } }
  /** One range of the file after the other, on so many connections. */
  | {
      readonly ranges: Target & {
        readonly sizeBytes: number;
        readonly rangeBytes: number;
        readonly clients: number;
        readonly forMs: number;
      };
    }
  /** So many downloads of a small file a second, whether the last ones are there or not, over so many connections. */
  | {
      readonly paced: Target & {
        readonly sizeBytes: number;
        readonly perSecond: number;
        readonly clients: number;
        readonly forMs: number;
      };
    };

const TICK_MS = 1;

export interface DownloadsAnswer {
  readonly wallMs: number;
  readonly requests: number;
  /** Lower-case hex, when it was asked for. */
  readonly sha256?: string;
  /** At a given rate: from when a download was due until all of it was there. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
}

async function downloadWhole({
  fast,
  slow,
  slowBytesPerSecond,
  ...target
}: Extract<DownloadsMessage, { whole: unknown }>['whole']) {
  const { port, sizeBytes } = target;
  const connections = await openConnections(fast, () => openDownloadConnection(port));
  const slowOnes = await openConnections(slow, () =>
    openDownloadConnection(port, { bytesPerSecond: slowBytesPerSecond }),
  );
  const request = formatRequest(target);
  const startedAt = performance.now();
  // They are cut in the middle: only that they come to their end, or break by themselves, is a fault.
  const slowDownloads = slowOnes.map(async ({ download }) => {
    await download(request, sizeBytes);
    throw new Error('a slow download was over before the fast ones');
  });
  const fastDownloads = Promise.all(connections.map(({ download }) => download(request, sizeBytes)));
  await Promise.race([fastDownloads, Promise.all(slowDownloads).then(() => fastDownloads)]);
  const wallMs = performance.now() - startedAt;
  for (const { close } of [...connections, ...slowOnes]) close();
  await Promise.allSettled(slowDownloads);
  return { wallMs, requests: fast };
}

async function downloadHash(target: Target & { readonly sizeBytes: number }): Promise<DownloadsAnswer> {
  const hash = createHash('sha256');
  const startedAt = performance.now();
  const { download, close } = await openDownloadConnection(target.port, { onBytes: (bytes) => hash.update(bytes) });
  await download(formatRequest(target), target.sizeBytes);
  close();
  return { wallMs: performance.now() - startedAt, requests: 1, sha256: hash.digest('hex') };
}

async function downloadRanges({
  rangeBytes,
  clients,
  forMs,
  ...target
}: Extract<DownloadsMessage, { ranges: unknown }>['ranges']): Promise<DownloadsAnswer> {
  const connections = await openConnections(clients, () => openDownloadConnection(target.port));
  const ranges = Math.floor(target.sizeBytes / rangeBytes);
  const startedAt = performance.now();
  let requests = 0;
  const downloadOnAndOn = async ({ download }: (typeof connections)[number]) => {
    while (performance.now() - startedAt < forMs) {
      const first = (requests++ % ranges) * rangeBytes;
      await download(formatRequest(target, `bytes=${first}-${first + rangeBytes - 1}`), rangeBytes);
    }
  };
  await Promise.all(connections.map(downloadOnAndOn));
  const wallMs = performance.now() - startedAt;
  for (const { close } of connections) close();
  return { wallMs, requests };
}

async function downloadPaced({
  perSecond,
  clients,
  forMs,
  ...target
}: Extract<DownloadsMessage, { paced: unknown }>['paced']): Promise<DownloadsAnswer> {
  const connections = await openConnections(clients, () => openDownloadConnection(target.port));
  const lanes = connections.map((connection) => ({ connection, last: Promise.resolve() }));
  const request = formatRequest(target);
  const tally = createTally();
  const startedAt = performance.now();
  let requests = 0;
  for (let now = startedAt; now - startedAt < forMs; now = performance.now()) {
    // A tick that comes late is nobody's fault but ours: what comes with it is due now.
    const due = Math.floor(((now - startedAt) * perSecond) / 1000);
    for (; requests < due; requests++) {
      const lane = lanes[requests % clients]!;
      lane.last = lane.last.then(async () => {
        await lane.connection.download(request, target.sizeBytes);
        tally.add(200, performance.now() - now);
      });
    }
    await sleep(TICK_MS);
  }
  await Promise.all(lanes.map(({ last }) => last));
  const wallMs = performance.now() - startedAt;
  for (const { close } of connections) close();
  const { p50Ms, p99Ms } = tally.read();
  return { wallMs, requests, p50Ms, p99Ms };
}

function openConnections<Connection>(count: number, open: () => Promise<Connection>): Promise<Connection[]> {
  return Promise.all(Array.from({ length: count }, open));
}

function formatRequest({ port, path, token }: Target, range = ''): string {
  const credential = token === '' ? '' : `Authorization: Bearer ${token}\r\n`;
  const part = range === '' ? '' : `Range: ${range}\r\n`;
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${credential}${part}\r\n`;
}

answerMessages<DownloadsMessage>((message): Promise<DownloadsAnswer> => {
  if ('whole' in message) return downloadWhole(message.whole);
  if ('hash' in message) return downloadHash(message.hash);
  if ('paced' in message) return downloadPaced(message.paced);
  return downloadRanges(message.ranges);
});
