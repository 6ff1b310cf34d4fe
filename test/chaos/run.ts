import { setTimeout as sleep } from 'node:timers/promises';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { startFakeOrchestrator } from '../support/fake-orchestrator.ts';
import { startReplica } from '../support/replica.ts';
import { startTcpCable } from '../support/tcp-cable.ts';
import { until, within } from '../support/waiting.ts';
import { type Kill, type KillKind, planChaos } from './plan.ts';
import { sampleText } from './sample-text.ts';
import { createSeeded } from './seeded.ts';
import { startWatcher, type Watcher } from './watcher.ts';

const ADMIN = { Authorization: 'Bearer dev-token' };
/** The events come at the pace of the middle client, no further ahead of it than this. */
const LEAD = 500;
/** The time between two bursts, so that the kills of a run find it still going on. */
const BURST_MS = 12;

export interface ChaosOptions {
  readonly seed: number;
  readonly events: number;
  readonly clients: number;
  /** When to give up, in milliseconds. */
  readonly deadlineMs: number;
}

export interface ChaosReport {
  readonly failures: readonly string[];
  /** The kills that happened. */
  readonly kills: Readonly<Record<KillKind, number>>;
  readonly connections: number;
  readonly durationMs: number;
}

/**
 * Clients watch one workflow through a plain TCP balancer and two gateway processes, from its first event to its last,
 * while by the plan of the seed all that can die between them and the orchestrator dies: their own connections, streams
 * and connections of the gateways to the orchestrator, and the gateways. Each of them has to hold every event once.
 */
export async function runChaos({ seed, events, clients, deadlineMs }: ChaosOptions): Promise<ChaosReport> {
  const startedAt = performance.now();
  const plan = planChaos({ seed, events, clients });
  const scene = await startScene();
  const watchers: Watcher[] = [];
  const failures: string[] = [];
  let made = 0;
  let stopped = false;

  function join(): void {
    const name = `client ${watchers.length + 1}`;
    const options = { name, url: scene.url, headers: ADMIN, total: events };
    watchers.push(startWatcher({ ...options, seeded: createSeeded(seed + watchers.length) }));
  }

  function lead(): number {
    const lastIds = watchers.map((watcher) => watcher.lastId()).sort((one, other) => one - other);
    return made - (lastIds[lastIds.length >> 1] ?? made);
  }

  async function makeEvents(): Promise<void> {
    const joins = plan.joins.toSorted((one, other) => one - other);
    const kills = [...plan.kills];
    for (let burst = 0; made < events && !stopped; burst++) {
      for (; joins.length > 0 && joins[0]! <= made; joins.shift()) join();
      const end = Math.min(events, made + plan.bursts[burst % plan.bursts.length]!);
      while (made < end) scene.makeEvent(++made, events);
      while (kills.length > 0 && kills[0]!.after <= made) await scene.perform(kills.shift()!.kill);
      await sleep(BURST_MS);
      await until('half of the clients keep up', () => stopped || lead() <= LEAD, deadlineMs);
    }
    for (const _late of joins) join();
  }

  const making = makeEvents();
  try {
    await within('all events to be made', making, deadlineMs);
    const leftMs = Math.max(0, startedAt + deadlineMs - performance.now());
    await within('all clients to see the end', Promise.all(watchers.map(({ over }) => over)), leftMs);
  } catch (error) {
    failures.push(`${(error as Error).message}; ${made} events were made`);
  }
  stopped = true;
  for (const watcher of watchers) watcher.stop();
  failures.push(...watchers.flatMap((watcher) => watcher.failures()));
  await making.catch(() => {});
  const kills = scene.kills();
  failures.push(...(await scene.close()));
  for (const kind of Object.keys(kills) as KillKind[]) {
    // Some find nothing to kill, or a connection that ends before the byte at which it was to die. A few prove nothing.
    const planned = plan.kills.filter(({ kill }) => kill.kind === kind).length;
    if (kills[kind] < planned / 2) failures.push(`${kind}: only ${kills[kind]} of ${planned} kills happened`);
  }
  const connections = watchers.reduce((sum, watcher) => sum + watcher.connections(), 0);
  return { failures, kills, connections, durationMs: performance.now() - startedAt };
}

/** Orchestrator, cable, two gateways, balancer; and what kills them. */
async function startScene() {
  const orchestrator = await startFakeOrchestrator({ replay: true });
  const upstream = await startTcpCable(() => [orchestrator.port]);
  const settings = {
    ORCHESTRATOR_ENDPOINT: `http://127.0.0.1:${upstream.port}`,
    SHUTDOWN_DELAY_SECONDS: '0.2',
    SHUTDOWN_GRACE_SECONDS: '3',
  };
  const replicas = await Promise.all([startReplica(settings), startReplica(settings)]);
  const balancer = await startTcpCable(() => replicas.map(({ port }) => port()));
  const { id: workflowId } = orchestrator.put({ spec: { name: 'chaos' }, state: JobState.RUNNING });
  let brokenStreams = 0;
  let killedGateways = 0;
  let restarting: Promise<unknown> = Promise.resolve();

  async function killGateways({ replicas: indexes, signal }: Kill & { kind: 'gateway' }): Promise<void> {
    // One is back before the next one dies, unless they are to die together.
    await restarting;
    killedGateways += indexes.length;
    restarting = Promise.all(indexes.map((index) => replicas[index]!.restart(signal)));
    restarting.catch(() => {});
  }

  return {
    url: `http://127.0.0.1:${balancer.port}/v1/workflows/${workflowId}/events`,
    kills: (): ChaosReport['kills'] => ({
      client: balancer.cuts(),
      'upstream stream': brokenStreams,
      'upstream connection': upstream.cuts(),
      gateway: killedGateways,
    }),

    /** Makes event `id` of `total`; the last one ends the workflow. */
    makeEvent(id: number, total: number): void {
      if (id === total) orchestrator.workflowUpdate(workflowId, JobState.SUCCEEDED);
      else orchestrator.stepUpdate(workflowId, { stepId: 'fold', sequences: [{ fasta: sampleText(id) }] });
    },

    async perform(kill: Kill): Promise<void> {
      if (kill.kind === 'gateway') return killGateways(kill);
      if (kill.kind === 'upstream stream') {
        if (orchestrator.breakStream(kill.how, kill.position)) brokenStreams++;
        return;
      }
      const cable = kill.kind === 'client' ? balancer : upstream;
      if (kill.position === 'next') cable.cutNext(kill.cut);
      else cable.cutOpen(kill.cut, kill.position);
    },

    /** Ends everything, and answers with what the gateways had to say, which should be nothing. */
    async close(): Promise<string[]> {
      const ends = await Promise.allSettled([
        restarting,
        ...replicas.map((replica) => restarting.then(() => replica.end('SIGTERM'))),
      ]);
      await Promise.all([balancer.close(), upstream.close(), orchestrator.close()]);
      return ends.flatMap((end) => (end.status === 'rejected' ? [(end.reason as Error).message] : []));
    },
  };
}
