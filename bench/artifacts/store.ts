import { createHash, randomBytes } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerMessages } from '../support/answer-messages.ts';

// An object store that has an object of every size: its key ends with its size in bytes. It answers GetObject over S3's
// protocol, whole or by one range, and looks at no signature. It must cost little beside the programs under test, so all
// of its objects are the same block over and over.

/** What the benchmark asks of it: the hash of the object of so many bytes. */
export interface StoreMessage {
  readonly hash: number;
}

export interface StoreAnswer {
  /** Lower-case hex. */
  readonly sha256: string;
}

const BLOCK_BYTES = 1024 * 1024;
// Twice, so that a whole block begins at every place of the first one.
const BLOCK = randomBytes(BLOCK_BYTES);
const BLOCKS = Buffer.concat([BLOCK, BLOCK]);

function blockAt(offset: number, end: number): Buffer {
  const place = offset % BLOCK_BYTES;
  return BLOCKS.subarray(place, place + Math.min(BLOCK_BYTES, end - offset));
}

function send(response: ServerResponse, first: number, end: number): void {
  let offset = first;
  const sendOn = () => {
    while (offset < end && !response.destroyed) {
      const bytes = blockAt(offset, end);
      offset += bytes.length;
      if (!response.write(bytes)) return;
    }
    response.end();
  };
  response.on('drain', sendOn);
  sendOn();
}

const server = createServer((request, response) => {
  const sizeBytes = Number(/(\d+)(?:\?|$)/.exec(request.url!)?.[1]);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const [first, last] = range ? range.slice(1).map(Number) : [0, sizeBytes - 1];
  if (!(request.method === 'GET' && first! <= last! && last! < sizeBytes)) {
    response.writeHead(400, { 'Content-Length': 0 }).end();
    return;
  }
  response.writeHead(range ? 206 : 200, {
    'Content-Type': 'binary/octet-stream',
    'Content-Length': last! + 1 - first!,
    ...(range && { 'Content-Range': `bytes ${first}-${last}/${sizeBytes}` }),
    'Accept-Ranges': 'bytes',
    ETag: '"0123456789abcdef0123456789abcdef"',
    'Last-Modified': 'Thu, 01 Jan 2026 00:00:00 GMT',
  });
  // A program under test that is killed breaks its downloads.
  response.on('error', () => undefined);
  send(response, first!, last! + 1);
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` }));
});

answerMessages<StoreMessage>(async ({ hash: sizeBytes }): Promise<StoreAnswer> => {
  const hash = createHash('sha256');
  for (let offset = 0; offset < sizeBytes; offset += BLOCK_BYTES) hash.update(blockAt(offset, sizeBytes));
  return { sha256: hash.digest('hex') };
});
