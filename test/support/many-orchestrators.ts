import type { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { type FakeOrchestrator, startFakeOrchestrator } from './fake-orchestrator.ts';
import type { TestGateway } from './gateway.ts';
import { until } from './waiting.ts';

type Options = Parameters<typeof startFakeOrchestrator>[0];
type Rpc = Parameters<FakeOrchestrator['countCalls']>[0];

export type ManyOrchestrators = Awaited<ReturnType<typeof startManyOrchestrators>>;

/** Orchestrators that hold the same, as if they had one database. Each can be killed, and started again on its port. */
export async function startManyOrchestrators(count: number, options: Options = {}) {
  const replicas = await Promise.all(Array.from({ length: count }, () => startFakeOrchestrator(options)));
  const killed = new Set<number>();
  const told: ((replica: FakeOrchestrator) => void)[] = [];

  /** Has all of them know it, also those that are started later. */
  function tell(news: (replica: FakeOrchestrator) => void): void {
    told.push(news);
    for (const [index, replica] of replicas.entries()) if (!killed.has(index)) news(replica);
  }

  return {
    endpoint: replicas.map(({ endpoint }) => endpoint).join(','),
    at: (index: number): FakeOrchestrator => replicas[index]!,
    /** What each of them was asked so far. */
    counts: (rpc: Rpc): number[] => replicas.map((replica) => replica.countCalls(rpc)),
    put: (id: string, state: JobState) => tell((replica) => replica.put({ id, spec: { name: id }, state })),
    stepUpdate: (id: string, fraction: number) =>
      tell((replica) => replica.stepUpdate(id, { stepId: 'fold', fraction })),
    workflowUpdate: (id: string, state: JobState) => tell((replica) => replica.workflowUpdate(id, state)),

    async kill(index: number): Promise<void> {
      killed.add(index);
      await replicas[index]!.close();
    },

    async restart(index: number): Promise<void> {
      replicas[index] = await startFakeOrchestrator({ ...options, port: replicas[index]!.port });
      killed.delete(index);
      for (const news of told) news(replicas[index]!);
    },

    async close(): Promise<void> {
      await Promise.all(replicas.map((replica, index) => (killed.has(index) ? undefined : replica.close())));
    },
  };
}

/** Addresses by their state, as the gateway's metrics have them. */
export async function readEndpointCounts(gateway: Pick<TestGateway, 'url'>): Promise<Record<string, number>> {
  return readSamples(gateway, 'foldforge_gateway_upstream_endpoints', 'state');
}

/** The values of a metric by one of its labels. */
export async function readSamples(
  { url }: Pick<TestGateway, 'url'>,
  name: string,
  label: string,
): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = text.matchAll(new RegExp(`^${name}\\{${label}="(\\w+)"\\} (\\d+)$`, 'gm'));
  return Object.fromEntries([...samples].map(([, value, count]) => [value, Number(count)]));
}

/** Makes calls until the gateway has so many addresses in each of these states. */
export async function untilEndpoints(
  gateway: Pick<TestGateway, 'url' | 'request'>,
  wanted: Readonly<Record<string, number>>,
  boundMs?: number,
): Promise<void> {
  let counts: Record<string, number> = {};
  await until(
    `addresses are ${JSON.stringify(wanted)}`,
    async () => {
      await gateway.request('/v1/workflows?page_size=1').then((response) => response.text());
      counts = await readEndpointCounts(gateway);
      return Object.entries(wanted).every(([state, count]) => counts[state] === count);
    },
    boundMs,
  ).catch((error: Error) => {
    throw new Error(`${error.message}; they are ${JSON.stringify(counts)}`);
  });
}
