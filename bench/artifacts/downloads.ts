import { createHash } from 'node:crypto';
import { answerMessages } from '../support/answer-messages.ts';
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
    };

export interface DownloadsAnswer {
  readonly wallMs: number;
  readonly requests: number;
  /** Lower-case hex, when it was asked for. */
  readonly sha256?: string;
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
  return downloadRanges(message.ranges);
});
