import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Canaries } from './canaries.ts';

export const FILE_KEY = 'artifacts/whole.pdb';
const XML = { 'Content-Type': 'application/xml' };

export type LeakyStore = Awaited<ReturnType<typeof startLeakyStore>>;

/**
 * An S3 store that has one file, and tells too much when it fails: it gives back what it was sent, and what it knows. The
 * key of an object says how it fails. `file` is the file's text, which no error may ever show.
 */
export async function startLeakyStore(canaries: Canaries, file: string) {
  const requests: string[] = [];
  const secret = (name: string) => canaries.plant(`${name} of the store`, { may: ['log'] });
  const told = (name: string) => canaries.plant(`the message of ${name} of the store`, { must: ['log'] });
  const headers = { ...XML, 'x-amz-id-2': secret('a host id'), Server: secret('the server name') };

  /** What real stores say: the credential they were sent, what they have signed themselves, the host that did it. */
  function errorBody(code: string, message: string, { headers: sent, url }: IncomingMessage): string {
    const [, accessKeyId] = /Credential=([^/]+)/.exec(sent.authorization ?? '') ?? [];
    return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message><Resource>${url}</Resource>
      <AWSAccessKeyId>${accessKeyId}</AWSAccessKeyId><StringToSign>${sent.authorization}</StringToSign>
      <SignatureProvided>${/Signature=(\w+)/.exec(sent.authorization ?? '')?.[1]}</SignatureProvided>
      <HostId>${secret('a host id in an error')}</HostId><Detail>${secret('a detail')}</Detail></Error>`;
  }

  const refuse = (status: number, code: string) => {
    let message: string | undefined;
    return (request: IncomingMessage, response: ServerResponse) => {
      message ??= told(code);
      response.writeHead(status, headers).end(errorBody(code, message, request));
    };
  };
  const whole = { 'Content-Length': Buffer.byteLength(file), 'Content-Type': 'chemical/x-pdb' };

  /** How each object fails, by the name that its key ends with. */
  const failures: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => unknown>> = {
    'refuses the signature': refuse(403, 'SignatureDoesNotMatch'),
    'refuses the key': refuse(403, 'InvalidAccessKeyId'),
    'has lost the file': refuse(404, 'NoSuchKey'),
    'has no such bucket': refuse(404, 'NoSuchBucket'),
    'is broken': refuse(500, 'InternalError'),
    'wants less': refuse(503, 'SlowDown'),
    'is elsewhere': (request, response) =>
      response
        .writeHead(301, { ...headers, Location: `http://${secret('another place')}.invalid/` })
        .end(errorBody('PermanentRedirect', secret('a redirect'), request)),
    'answers in HTML': (_request, response) =>
      response
        .writeHead(502, { 'Content-Type': 'text/html' })
        .end(`<html>${secret('a proxy')}<p>at proxy.js:1:2</html>`),
    'answers in JSON': (_request, response) => response.writeHead(400).end(JSON.stringify({ error: secret('JSON') })),
    'has another length': (_request, response) => response.writeHead(200, { 'Content-Length': 3 }).end('abc'),
    'hangs up': (request) => request.socket.destroy(),
    'is silent': () => undefined,
    'says nonsense': (request) => request.socket.end(`HTTP/9.9 ${secret('nonsense')}\r\n\r\n`),
    'breaks off': (_request, response) =>
      response.writeHead(200, whole).write(file.slice(0, -5), () => response.destroy()),
    'falls silent': (_request, response) => response.writeHead(200, whole).write(file.slice(0, -5)),
  };

  let mood: string | undefined;
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url} ${JSON.stringify(request.rawHeaders)}`);
    const name = decodeURIComponent(request.url ?? '')
      .split('/')
      .at(-1)!
      .split('?', 1)[0]!;
    const failure = failures[mood ?? name];
    if (failure) return void failure(request, response);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (first === undefined) return void response.writeHead(200, whole).end(file);
    const part = file.slice(Number(first), Number(last) + 1);
    const range = { 'Content-Length': part.length, 'Content-Range': `bytes ${first}-${last}/${file.length}` };
    response.writeHead(206, { ...whole, ...range }).end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    address,
    requests,
    failures: Object.keys(failures),
    /** Fails in this way whatever it is asked for; undefined: as before. */
    fail(how: string | undefined): void {
      mood = how;
    },
    close(): Promise<void> {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
