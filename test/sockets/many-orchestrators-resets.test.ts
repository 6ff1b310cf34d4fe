import assert from 'node:assert/strict';
import { constants, createServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type FakeOrchestrator, startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startTestGateway } from '../support/gateway.ts';

const SPEC = { name: 'x', steps: [{ id: 'a', tool: 'rfdiffusion' }] };
const ASKED = 120;
/** Five in a row open the circuit; what is repeated is paid from ten. */
const MOST_FAILED = 8;

describe('one of two orchestrators that resets every stream', () => {
  let fake: FakeOrchestrator;
  before(async () => {
    fake = await startFakeOrchestrator({ health: true });
  });
  after(() => fake.close());

  async function startResetting(t: TestContext, code: number) {
    const sessions = new Set<ServerHttp2Session>();
    const server = createServer();
    let streams = 0;
    server.on('session', (session) => sessions.add(session));
    server.on('stream', (stream) => {
      streams++;
      stream.on('error', () => {}).close(code);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, streams: () => streams };
  }

  for (const code of ['NGHTTP2_INTERNAL_ERROR', 'NGHTTP2_REFUSED_STREAM'] as const) {
    it(`is left out: ${code}`, async (t) => {
      const sick = await startResetting(t, constants[code]);
      const gateway = await startTestGateway({ ORCHESTRATOR_ENDPOINT: `${sick.endpoint},${fake.endpoint}` });
      t.after(() => gateway.close());
      let failed = 0;
      for (let asked = 0; asked < ASKED; asked++) {
        const read = asked % 2 === 0;
        const response = await (read ? gateway.request('/v1/workflows') : gateway.post('/v1/workflows', SPEC));
        if (response.status >= 500) failed++;
        await response.text();
      }
      assert.ok(failed <= MOST_FAILED, `${failed} of ${ASKED} failed; it was asked ${sick.streams()} times`);
    });
  }
});
