import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createMetrics } from '../../src/gateway/metrics.ts';
import { createAddressObserver } from '../../src/gateway/upstream/address-observer.ts';
import { createOrchestrator } from '../../src/gateway/upstream/orchestrator.ts';
import { createOrchestratorProbe } from '../../src/gateway/upstream/probe-orchestrator.ts';
import { createLog } from '../../src/shared/log.ts';
import { FLAG, FRAME } from '../support/h2-frames.ts';
import { startRawHttp2Server } from '../support/raw-http2-server.ts';
import { until } from '../support/waiting.ts';

const ROUNDS = 10;

it('a connection on which a probe gets no answer is asked whether its server is there, each time', async (t) => {
  const metrics = createMetrics();
  for (let round = 0; round < ROUNDS; round++) {
    const server = await startRawHttp2Server(() => {});
    const orchestrator = await createOrchestrator({
      endpoint: `http://localhost:${server.port}`,
      transport: 'direct',
      keepaliveMs: 60_000,
      resolveMs: 60_000,
      observer: createAddressObserver({ metrics, log: createLog('test', 'silent') }),
      metrics,
    });
    t.after(() => {
      orchestrator.close();
      return server.close();
    });
    const probe = createOrchestratorProbe(orchestrator, 150);
    const received = () => server.peers.flatMap((peer) => peer.received);
    const { signal } = new AbortController();
    orchestrator.checkHealth({}, { signal, timeLeftMs: () => 60_000, metadata: {} }).catch(() => {});
    // A probe that spends its time in line says nothing of the server.
    await until('it is connected', () => received().some(({ type }) => type === FRAME.headers));
    await assert.rejects(probe.ask(signal), /deadline|time/i);
    const isAsked = () => received().some(({ type, flags }) => type === FRAME.ping && (flags & FLAG.ack) === 0);
    await until(`a PING in round ${round}`, isAsked);
  }
});
