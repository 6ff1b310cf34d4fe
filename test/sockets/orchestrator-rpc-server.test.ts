import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { describe, it, mock } from 'node:test';
import { create } from '@bufbuild/protobuf';
import type { ConnectRouter } from '@connectrpc/connect';
import { OrchestratorService, WorkflowEventSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { startRpcServer } from '../../src/orchestrator/rpc-server.ts';
import { createLog } from '../../src/shared/log.ts';
import { until, within } from '../support/waiting.ts';

async function start(routes: (router: ConnectRouter) => void = () => {}) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog('test', 'debug', { write: (line: string) => lines.push(JSON.parse(line)) });
  const address = { host: '127.0.0.1', port: 0 };
  return { ...(await startRpcServer({ address, routes, interceptors: [], log })), lines };
}

const GRPC = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
/** More than Node takes by itself within a few seconds: 1,000, and 33 in each second. */
const CALLS_LEFT = 3_000;

describe('the gRPC server', () => {
  for (const [peer, bytes] of [
    ['is silent', ''],
    ['stops in the preface', 'PRI * HTTP/2.0\r\n'],
    ['speaks HTTP/1', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ] as const) {
    it(`closes although a peer ${peer}, and neither reads nor closes`, async () => {
      const server = await start();
      const socket = net.connect(server.port, '127.0.0.1').on('error', () => {});
      socket.pause();
      await once(socket, 'connect');
      if (bytes) await new Promise((resolve) => socket.write(bytes, resolve));
      // A server that has answered a client has seen what came before.
      await visit(server.port);
      await within('the close', server.close(100));
      socket.destroy();
    });
  }

  it('tells its own log, and nobody else, of a client that goes away in the middle of an answer', async () => {
    const toStderr = mock.method(console, 'error', () => {});
    const server = await start((router) =>
      router.service(OrchestratorService, {
        async *streamWorkflowEvents() {
          for (;;) {
            yield create(WorkflowEventSchema, { workflowId: 'x'.repeat(100_000) });
            await new Promise(setImmediate);
          }
        },
      }),
    );
    try {
      const session = http2.connect(`http://127.0.0.1:${server.port}`).on('error', () => {});
      const call = session.request({
        ...GRPC,
        ':path': `/${OrchestratorService.typeName}/StreamWorkflowEvents`,
      });
      call.on('error', () => {}).end(Buffer.alloc(5));
      await within('the first bytes', once(call, 'data'));
      session.destroy();
      await until('the line in the log', () => server.lines.length > 0);
      assert.deepEqual(
        server.lines.map(({ level, msg, method }) => [level, msg, method]),
        [['debug', 'a client went away', 'StreamWorkflowEvents']],
      );
      assert.equal(toStderr.mock.callCount(), 0);
    } finally {
      toStderr.mock.restore();
      await server.close(100);
    }
  });

  it('keeps the connection of a gateway many of whose clients leave', async (t) => {
    const server = await start((router) =>
      router.service(OrchestratorService, { getWorkflow: () => new Promise(() => {}) }),
    );
    t.after(() => server.close(100));
    const session = http2.connect(`http://127.0.0.1:${server.port}`).on('error', () => {});
    await once(session, 'connect');
    for (let call = 0; call < CALLS_LEFT; call++) {
      const stream = session.request({ ...GRPC, ':path': `/${OrchestratorService.typeName}/GetWorkflow` });
      stream.on('error', () => {}).end(Buffer.alloc(5));
      await once(stream, 'finish');
      stream.close(http2.constants.NGHTTP2_CANCEL);
      await within('the end of a call', once(stream, 'close'));
    }
    const last = session.request({ ':path': '/nothing' });
    const [headers] = await within('the answer', once(last, 'response'));
    assert.equal(headers[':status'], 404);
    session.destroy();
  });
});

async function visit(port: number): Promise<void> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const call = session.request({ ':path': '/nothing' });
  const [headers] = await within('the answer', once(call, 'response'));
  assert.equal(headers[':status'], 404);
  call.resume();
  session.close();
  await once(session, 'close');
}
