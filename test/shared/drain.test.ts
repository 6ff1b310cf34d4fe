import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { it } from 'node:test';
import { drain, listen } from '../../src/shared/listen.ts';
import { within } from '../support/waiting.ts';

it('a drain does not wait for a connection on which nothing was ever asked', async () => {
  const server = createServer((_request, response) => response.end('here'));
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  const spare = connect(port, '127.0.0.1');
  spare.on('error', () => undefined);
  await once(spare, 'connect');
  const used = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(await used.text(), 'here');
  await within('the drain', drain(server, 60_000), 5_000);
});
