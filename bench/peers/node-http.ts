import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

// The least that an HTTP server on Node can cost: it answers what it was given and looks at nothing but the method and
// whether there is a query. The argument is a JSON file with the answers.

/** Bodies by case. */
export interface ConstantAnswers {
  readonly get: string;
  readonly list: string;
  readonly post: string;
}

const [file] = process.argv.slice(2);
if (!file) throw new Error('the argument is a JSON file with the answers');
const answers: ConstantAnswers = JSON.parse(readFileSync(file, 'utf8'));
const headers = (body: string) => ({
  'Content-Type': 'application/json',
  'Content-Length': String(Buffer.byteLength(body)),
});
const heads = { get: headers(answers.get), list: headers(answers.list), post: headers(answers.post) };

/** Longer than the others' turns take: the load keeps its connections. */
const KEEP_ALIVE_MS = 75_000;

const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
  if (request.method === 'POST') {
    request.resume();
    request.on('end', () => response.writeHead(201, heads.post).end(answers.post));
  } else if (request.url!.includes('?')) response.writeHead(200, heads.list).end(answers.list);
  else response.writeHead(200, heads.get).end(answers.get);
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` }));
});
process.on('disconnect', () => process.exit(0));
