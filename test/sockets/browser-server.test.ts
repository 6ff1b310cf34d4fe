import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { startExampleServer } from '../support/example-server.ts';
import { within } from '../support/waiting.ts';

describe('the server of the browser example', () => {
  const gateway = createServer();
  let server: Awaited<ReturnType<typeof startExampleServer>>;
  before(async () => {
    await once(gateway.listen(0, '127.0.0.1'), 'listening');
    server = await startExampleServer(`http://127.0.0.1:${(gateway.address() as AddressInfo).port}`);
  });
  after(async () => {
    await server?.close();
    gateway.close();
    gateway.closeAllConnections();
  });

  it('serves the pages under a strict policy, and no other file', async () => {
    for (const path of ['/', '/eventsource.html', '/fetch.html', '/page.js', '/style.css', '/icon.svg']) {
      const response = await fetch(server.url + path);
      assert.equal(response.status, 200, path);
      const policy = response.headers.get('content-security-policy') ?? '';
      assert.match(policy, /^default-src 'none'/);
      assert.doesNotMatch(policy, /unsafe/);
      await response.body?.cancel();
    }
    // As it stands: `fetch` would take the dots out.
    for (const path of ['/serve.mjs', '/README.md', '/../../package.json', '/%2e%2e/%2e%2e/package.json', '/v2/x']) {
      const asked = request(server.url, { path }).end();
      const [response] = await within(path, once(asked, 'response'));
      assert.equal(response.statusCode, 404, path);
      response.resume();
    }
  });

  it('tells the gateway that a client has left before the answer', async () => {
    const asked = request(`${server.url}/v1/workflows/x?wait=60`).end();
    asked.on('error', () => undefined);
    const [incoming] = await within('the gateway is asked', once(gateway, 'request'));
    assert.equal(incoming.url, '/v1/workflows/x?wait=60');
    const left = once(incoming.socket, 'close');
    asked.destroy();
    await within('the gateway sees it', left);
  });

  it('breaks off an answer that the gateway broke off', async () => {
    gateway.once('request', (_incoming, outgoing) => {
      outgoing.write('half', () => outgoing.destroy());
    });
    const response = await fetch(`${server.url}/v1/workflows/x/events`);
    await assert.rejects(within('the loss', response.text()), TypeError);
  });
});
