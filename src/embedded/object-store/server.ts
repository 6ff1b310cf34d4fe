import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Log } from '../../shared/log.ts';
import { openBody } from './body.ts';
import { type Answer, readTarget, xmlAnswer } from './http.ts';
import type { FindOperation } from './operations.ts';
import { S3Error } from './s3-error.ts';
import { authorize, type Credentials } from './sigv4.ts';
import { writeXml } from './xml.ts';

/** Serves the operations over HTTP: checks who asks, calls, and writes what comes back, or the error that was thrown. */
export function createS3Server(findOperation: FindOperation, credentials: Credentials, log: Log): Server {
  async function answer(request: IncomingMessage): Promise<Answer> {
    const { method = '' } = request;
    const headers = request.headersDistinct as Record<string, string[]>;
    const header = (name: string) => headers[name]?.join(', ');
    const target = readTarget(request.url ?? '');
    const authorized = authorize({ method, headers, ...target }, credentials, Date.now());
    const handler = findOperation(method, target, header);
    // Left whole when a check fails half-way, so that the answer still finds its way.
    const source = request.iterator({ destroyOnReturn: false });
    return await handler({ ...target, method, headers, header, body: openBody(source, header, authorized) });
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = randomUUID();
    const answered = await answer(request).catch((error: unknown) => {
      if (!(error instanceof S3Error) && !request.destroyed) log.error({ err: error, requestId }, 'object store');
      return errorAnswer(error, request.url ?? '', requestId);
    });
    response.setHeader('x-amz-request-id', requestId);
    // A connection that is kept would hold up close().
    if (!server.listening) response.setHeader('connection', 'close');
    await send(response, answered);
    request.resume(); // What is left of a refused body.
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      log.debug({ err: error }, 'object store: an answer was cut off');
      response.destroy();
    });
  });
  // Clients keep connections for longer than the usual five seconds, and would run into their end.
  server.keepAliveTimeout = 75_000;
  return server;
}

async function send(response: ServerResponse, { status, headers, body }: Answer): Promise<void> {
  const isText = typeof body === 'string';
  response.writeHead(status, {
    ...(isText && { 'content-length': Buffer.byteLength(body) }),
    ...headers,
  });
  if (body === undefined || isText) response.end(body);
  // A client that has gone before the first byte leaves pipeline without the care for its source.
  else await pipeline(body, response).finally(() => body.destroy());
}

function errorAnswer(error: unknown, resource: string, requestId: string): Answer {
  const known = error instanceof S3Error ? error : new S3Error('InternalError', 'We encountered an internal error.');
  const fields = { Code: known.code, Message: known.message, Resource: resource, RequestId: requestId };
  const { headers, ...rest } = xmlAnswer(writeXml('Error', fields), known.status);
  return { ...rest, headers: { ...headers, ...known.headers } };
}
