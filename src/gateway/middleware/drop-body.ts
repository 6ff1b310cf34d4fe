import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Middleware } from '../context.ts';
import { announcesBody } from '../wire/request-body.ts';

/**
 * For an operation that takes no body: what comes all the same is thrown away while it comes. It would wait for somebody to read
 * it, for as long as the request takes, and in chunks of a byte 64 KiB of it are 12 MB.
 */
export const dropBody: Middleware = ({ env: { incoming } }) => {
  if (mayHaveBody(incoming)) incoming.resume();
};

function mayHaveBody(incoming: IncomingMessage): boolean {
  if (incoming.httpVersionMajor === 2) return !(incoming as unknown as Http2ServerRequest).stream.endAfterHeaders;
  return announcesBody(incoming);
}
