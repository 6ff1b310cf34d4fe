import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { workflowEventToJson } from '../../src/gateway/wire/workflow-json.ts';
import { OrchestratorService } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';

// The naive form of the event stream, with the same packages: each client has an upstream stream of its own, and
// streamSSE writes its events. It maps events with the gateway's own functions, so that both do that work; and it is
// spared what the gateway does besides: credentials, the contract, heartbeats, limits, logs and metrics.

const [endpoint] = process.argv.slice(2);
if (!endpoint) throw new Error('the first argument is the endpoint of the orchestrator');

const transport = createGrpcTransport({
  baseUrl: endpoint,
  acceptCompression: [],
  // The default of 10 MB would refuse most of the streams.
  nodeOptions: { maxSessionMemory: 1_000 },
});
const orchestrator = createClient(OrchestratorService, transport);

const app = new Hono();
app.get('/v1/workflows/:id/events', (c) =>
  streamSSE(c, async (stream) => {
    const leave = new AbortController();
    stream.onAbort(() => leave.abort());
    const request = { workflowId: c.req.param('id') };
    for await (const event of orchestrator.streamWorkflowEvents(request, { signal: leave.signal })) {
      await stream.writeSSE({
        event: event.event.case === 'stepUpdate' ? 'step_update' : 'workflow_update',
        data: JSON.stringify(workflowEventToJson(event)),
        ...(event.eventId !== 0n && { id: String(event.eventId) }),
      });
    }
  }),
);
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => {
  console.log(JSON.stringify({ address: `127.0.0.1:${port}` }));
});
process.on('disconnect', () => process.exit(0));
