// Serves the two pages and forwards /v1/ to the gateway, so that a browser sees both on one origin. For your own machine;
// in production that is the job of the reverse proxy that ends TLS.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { pipeline } from 'node:stream';
import { parseArgs } from 'node:util';

const TYPES = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
const PAGES = ['eventsource.html', 'fetch.html'];
const PARTS = ['eventsource.js', 'fetch.js', 'page.js', 'watch-with-ticket.js', 'watch-with-fetch.js', 'sse-parser.js'];
const FILES = new Set([...PAGES, ...PARTS, 'api.js', 'persist.js', 'style.css', 'icon.svg']);

/** The page runs only scripts of this origin, and sends what it knows nowhere else. */
const PAGE_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
};

/** RFC 9110, section 7.6.1: these are between two neighbours. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function withoutHopByHop(headers) {
  const named = (headers.connection ?? '').toLowerCase().split(/\s*,\s*/);
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name) && !named.includes(name)));
}

function createRequestListener(gateway) {
  const { request } = gateway.protocol === 'https:' ? https : http;

  function forward(incoming, outgoing) {
    const upstream = request(gateway, {
      method: incoming.method,
      path: incoming.url,
      headers: { ...withoutHopByHop(incoming.headers), host: gateway.host },
      // A connection that is kept may be one that a gateway has just closed.
      agent: false,
    });
    upstream.on('response', (response) => {
      outgoing.writeHead(response.statusCode, withoutHopByHop(response.headers));
      // Ends the one when the other breaks: a loss must look like a loss.
      pipeline(response, outgoing, () => undefined);
    });
    upstream.on('error', () => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502, { 'Content-Type': 'text/plain' }).end('the gateway does not answer\n');
    });
    // The browser has left, so nobody reads the stream any more.
    outgoing.on('close', () => upstream.destroy());
    pipeline(incoming, upstream, () => undefined);
  }

  return (incoming, outgoing) => {
    const [path] = incoming.url.split('?', 1);
    if (path.startsWith('/v1/')) return forward(incoming, outgoing);
    const file = path === '/' ? PAGES[0] : path.slice(1);
    if (!FILES.has(file)) return outgoing.writeHead(404, { 'Content-Type': 'text/plain' }).end('no such page\n');
    const type = TYPES[file.slice(file.lastIndexOf('.') + 1)];
    outgoing.writeHead(200, { ...PAGE_HEADERS, 'Content-Type': `${type}; charset=utf-8` });
    outgoing.end(readFileSync(new URL(file, import.meta.url)));
  };
}

const { values } = parseArgs({
  options: {
    gateway: { type: 'string', default: 'http://127.0.0.1:8080' },
    port: { type: 'string', default: '8081' },
  },
});
const server = http.createServer(createRequestListener(new URL(values.gateway)));
server.once('error', (error) => {
  process.stderr.write(`cannot listen on port ${values.port}: ${error.message}\n`);
  process.exitCode = 1;
});
server.listen(Number(values.port), '127.0.0.1', () => {
  const origin = `http://127.0.0.1:${server.address().port}`;
  const urls = PAGES.map((page) => `  ${origin}/${page}\n`);
  process.stdout.write(`The pages are ready, for the gateway at ${values.gateway}:\n${urls.join('')}`);
});
