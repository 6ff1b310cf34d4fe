import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

/** A gRPC frame that promises more bytes than follow. */
const PART_OF_AN_ANSWER = Buffer.concat([Buffer.from([0, 0, 0, 0, 100]), Buffer.alloc(10)]);
const PART_OF_A_PREFIX = Buffer.from([0, 0, 0]);
const WHOLE_ANSWER = Buffer.from([0, 0, 0, 0, 0]);

describe('an orchestrator whose answer is cut short', () => {
  let cut: (stream: ServerHttp2Stream) => void;
  const server = createServer();
  let gateway: TestGateway;
  before(async () => {
    server.on('stream', (stream) => {
      stream.on('error', () => undefined);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' });
      cut(stream);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${port}` });
  });
  after(async () => {
    await gateway.close();
    server.close();
  });

  const SPEC = { name: 'x', steps: [{ id: 'a', tool: 'af2' }] };
  for (const [name, bytes] of [
    ['in the middle of a message', PART_OF_AN_ANSWER],
    ['in the middle of a prefix', PART_OF_A_PREFIX],
    ['before the status', WHOLE_ANSWER],
    ['before anything', Buffer.alloc(0)],
  ] as const) {
    for (const how of ['ended', 'destroyed'] as const) {
      // It may have been accepted: nobody may be told that it was wrong.
      it(`is unavailable: ${how} ${name}`, async () => {
        cut = (stream) => {
          stream.write(bytes, () => (how === 'ended' ? stream.end() : stream.session?.destroy()));
        };
        const answer = await gateway.post('/v1/workflows', SPEC, { 'Idempotency-Key': 'cut' });
        const { code } = (await answer.json()) as { code: string };
        assert.deepEqual([answer.status, code], [503, 'UNAVAILABLE']);
      });
    }
  }
});
