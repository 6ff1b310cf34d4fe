import { setTimeout as sleep } from 'node:timers/promises';
import type { ExternalPostgres } from '../../support/external-postgres.ts';
import type { TestObjectStore } from '../../support/object-store.ts';
import { until, within } from '../../support/waiting.ts';
import { takeSnapshot } from '../accounts/snapshot.ts';
import { checkCharges } from './check-charges.ts';
import { checkEvents } from './check-events.ts';
import { checkHandovers } from './check-handovers.ts';
import { checkOutcomes } from './check-outcomes.ts';
import type { Evidence } from './evidence.ts';
import { watchHandovers } from './handovers.ts';
import { type PlanSize, planOrchestrator } from './plan.ts';
import { countAll, listMissing } from './report.ts';
import { type Scene, startScene } from './scene.ts';
import { readHistories, readObjects } from './snapshot.ts';
import { createStory, liveAt } from './story.ts';
import { createStrikes } from './strikes.ts';

/** How long the last workflows may take when nothing breaks any more, and after that the queue to be empty. */
const WORKFLOWS_MS = 90_000;
const QUEUE_MS = 20_000;
const HANDOVERS_MS = 20_000;

export interface RunOptions extends PlanSize {
  readonly postgres: ExternalPostgres;
  readonly objectStore: TestObjectStore;
  /** Whether a kind of fault or of outcome that never occurred is a failure. */
  readonly showAll: boolean;
  /** Gets everything that the programs have logged, by the name of each. */
  readonly onLogs?: (logs: ReadonlyMap<string, string>) => void;
}

export interface RunReport {
  readonly failures: readonly string[];
  /** What occurred how often, in words. */
  readonly lines: readonly string[];
  readonly durationMs: number;
}

/**
 * Clients submit workflows to two gateways over three orchestrators on one Postgres, watch, cancel and retry them, while by
 * the plan of the seed processes are killed and paused, one orchestrator is parted from the database, and Postgres itself
 * is killed. When all is well again and all workflows are over, what is stored, what was seen and what was charged have to fit.
 */
export async function runOrchestrator(options: RunOptions): Promise<RunReport> {
  const startMs = performance.now();
  const plan = planOrchestrator(options);
  const { postgres, objectStore } = options;
  const scene = await startScene({ plan, postgres, objectStore });
  const handovers = watchHandovers(scene.observer);
  const strikes = createStrikes(scene, handovers);
  const stop = new AbortController();
  const stories = plan.orders.map(createStory);
  const failures: string[] = [];

  async function play(): Promise<void> {
    const begunMs = performance.now();
    const { gatewayUrls: gateways, balancerUrl: balancer, tokens } = scene;
    const parts = { gateways, balancer, tokens, stop: stop.signal };
    const living = Promise.all(stories.map((story) => liveAt(begunMs + story.order.atMs, story, parts)));
    living.catch(() => {});
    const striking = plan.faults.map(async (fault) => {
      await sleep(Math.max(0, begunMs + fault.atMs - performance.now()), undefined, { signal: stop.signal });
      await strikes.perform(fault);
    });
    // All of them are mended before anything else, also when one of them could not strike.
    const strikesOver = await Promise.allSettled(striking);
    await strikes.heal();
    for (const strike of strikesOver) if (strike.status === 'rejected') throw strike.reason;
    await within('all workflows to be over, and seen to the end', living, WORKFLOWS_MS);
    await until('the queue to be empty', async () => (await readQueue(scene)).length === 0, QUEUE_MS);
    await until('the steps of dead orchestrators to be taken over', handovers.areOver, HANDOVERS_MS);
  }

  try {
    await play().catch((error: Error) => failures.push(error.message));
    stop.abort();
    await strikes.heal().catch((error: Error) => failures.push(error.message));
    await handovers.close();
    const evidence = await readEvidence();
    failures.push(
      ...checkOutcomes(evidence),
      ...checkEvents(evidence),
      ...checkCharges(evidence),
      ...checkHandovers(evidence),
    );
    const { counts } = strikes;
    if (options.showAll) failures.push(...listMissing(evidence, counts).map((name) => `never occurred: ${name}`));
    if (failures.length > 0) {
      const events = strikes.events.map(({ atMs, text }) => `  ${((atMs - startMs) / 1_000).toFixed(3)} s ${text}`);
      failures.unshift(['what broke:', ...events].join('\n'));
    }
    options.onLogs?.(new Map([...scene.orchestrators, ...scene.gateways].map(({ name, log }) => [name, log()])));
    return { failures, lines: countAll(evidence, counts), durationMs: performance.now() - startMs };
  } finally {
    await scene.close();
  }

  async function readEvidence(): Promise<Evidence> {
    const queue = await readQueue(scene);
    const endMs = performance.now();
    await scene.finish();
    const client = await scene.observer.connect();
    const histories = await readHistories(client);
    const endings = [...scene.orchestrators, ...scene.gateways].flatMap((program) => program.endings);
    return {
      plan,
      keyHashes: scene.keyHashes,
      stories,
      histories,
      accounts: await takeSnapshot(client),
      queue,
      objects: await readObjects(histories, objectStore),
      handovers: handovers.all,
      outages: strikes.outages,
      endings,
      endMs,
    };
  }
}

function readQueue({ observer }: Scene): Promise<{ id: string; status: string }[]> {
  return observer.query(
    `select workflow_uuid as id, status from dbos.workflow_status where status in ('PENDING', 'ENQUEUED', 'DELAYED')`,
  );
}
