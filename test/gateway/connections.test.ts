import assert from 'node:assert/strict';
import { once } from 'node:events';
import { IncomingMessage } from 'node:http';
import { connect, Socket } from 'node:net';
import { it } from 'node:test';
import type { RequestContext } from '../../src/gateway/context.ts';
import { toGatewayError } from '../../src/gateway/errors.ts';
import { createLimitBody } from '../../src/gateway/middleware/limit-body.ts';
import { createTurnstile } from '../../src/shared/turnstile.ts';
import { startTestGateway } from '../support/gateway.ts';
import { until, within } from '../support/waiting.ts';

it('a connection goes on after HEAD, OPTIONS and errors, in whatever order they come', async () => {
  const gateway = await startTestGateway();
  const socket = connect(gateway.port, '127.0.0.1');
  await once(socket, 'connect');
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk;
  });
  const requests = ['HEAD /v1/healthz', 'OPTIONS /v1/workflows', 'HEAD /nowhere', 'PUT /v1/healthz', 'GET /v1/healthz'];
  socket.write(requests.map((request) => `${request} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
  const statuses = () => [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status);
  await until('all answers', () => statuses().length >= requests.length);
  assert.deepEqual(statuses(), ['200', '204', '404', '405', '200']);
  assert.ok(!socket.destroyed);
  socket.destroy();
  await gateway.close();
});

it('a body whose client left before it was read is over, rather than waited for', async () => {
  const incoming = new IncomingMessage(new Socket());
  incoming.headers = { 'content-type': 'application/json' };
  incoming.destroy();
  const limitBody = createLimitBody({ limitBytes: 1024, minBytesPerSecond: 0, turnstile: createTurnstile() });
  const passing = Promise.resolve(
    limitBody({ env: { incoming, outgoing: {}, facts: {} } } as unknown as RequestContext),
  );
  await within(
    'the end',
    assert.rejects(passing, (error) => toGatewayError(error).code === 'CLIENT_CLOSED_REQUEST'),
  );
});
