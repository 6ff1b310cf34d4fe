import type { IncomingMessage } from 'node:http';

/** Whether the head of a request of HTTP/1.1 announces a body (RFC 9112, section 6). */
export function announcesBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}
