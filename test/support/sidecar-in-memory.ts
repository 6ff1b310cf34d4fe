import { type ConnectRouter, createRouterTransport } from '@connectrpc/connect';
import { AF2Service } from '../../src/gen/foldforge/af2/v1/af2_pb.ts';
import { BoltzService } from '../../src/gen/foldforge/boltz/v1/boltz_pb.ts';
import { ProteinMPNNService } from '../../src/gen/foldforge/proteinmpnn/v1/proteinmpnn_pb.ts';
import { RFdiffusionService } from '../../src/gen/foldforge/rfdiffusion/v1/rfdiffusion_pb.ts';
import type { StepJob, Tool } from '../../src/orchestrator/runners/runner.ts';
import { connectAf2 } from '../../src/orchestrator/runners/sidecar/af2.ts';
import { connectBoltz } from '../../src/orchestrator/runners/sidecar/boltz.ts';
import { connectProteinmpnn } from '../../src/orchestrator/runners/sidecar/proteinmpnn.ts';
import { connectRfdiffusion } from '../../src/orchestrator/runners/sidecar/rfdiffusion.ts';
import type { Made } from '../../src/orchestrator/runners/sidecar/tool.ts';
import type { Requests, Results } from './sidecar-results.ts';

const CONNECTS = {
  rfdiffusion: connectRfdiffusion,
  proteinmpnn: connectProteinmpnn,
  boltz: connectBoltz,
  af2: connectAf2,
};

/** The client of a tool whose sidecar answers every run with this result, over bytes but without a socket. */
export function connectInMemory<T extends Tool>(
  tool: T,
  result: Results[T],
  onRequest: (request: Requests[T]) => void,
) {
  async function* run(request: unknown) {
    onRequest(request as Requests[T]);
    yield { event: { case: 'result' as const, value: result } } as never;
  }
  const routes: Record<Tool, (router: ConnectRouter) => unknown> = {
    rfdiffusion: (router) => router.service(RFdiffusionService, { run }),
    proteinmpnn: (router) => router.service(ProteinMPNNService, { run }),
    boltz: (router) => router.service(BoltzService, { run }),
    af2: (router) => router.service(AF2Service, { run }),
  };
  const transport = createRouterTransport((router) => void routes[tool](router), {
    transport: { useBinaryFormat: true },
  });
  return CONNECTS[tool](transport);
}

/** What a sidecar is asked for such a job. Throws StepFailure. */
export async function requestOf<T extends Tool>(tool: T, job: StepJob): Promise<Requests[T]> {
  const requests: Requests[T][] = [];
  const client = connectInMemory<T>(tool, {} as Results[T], (request) => requests.push(request));
  const updates = client.prepare(job)({})[Symbol.asyncIterator]();
  // The empty result is refused, which is no concern of this.
  await updates.next().catch(() => {});
  return requests[0]!;
}

/** What is made of a sidecar's result. Throws StepFailure. */
export async function madeOf<T extends Tool>(tool: T, result: Results[T], job: StepJob): Promise<Made> {
  for await (const update of connectInMemory<T>(tool, result, () => {}).prepare(job)({})) {
    if (update.case === 'result') return update.value;
  }
  throw new Error('there was no result');
}
