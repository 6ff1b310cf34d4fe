import { setTimeout as sleep } from 'node:timers/promises';
import type { TestObjectStore } from '../../support/object-store.ts';
import { until, within } from '../../support/waiting.ts';
import { checkCharges } from './check-charges.ts';
import { checkLimits } from './check-limits.ts';
import { checkOrders } from './check-orders.ts';
import { createClients } from './client.ts';
import type { Evidence, Finding, Promised } from './evidence.ts';
import { planAccounts } from './plan.ts';
import { describeFindings } from './report.ts';
import { startScene } from './scene.ts';
import { takeSnapshot } from './snapshot.ts';
import { createStrikes } from './strikes.ts';
import { countOutcomes, listMissing } from './tally.ts';

/** How long the last clients may go on after the last operation, when nothing breaks any more. */
const CLIENTS_MS = 20_000;
/** How long the workflows may run after that. */
const SETTLE_MS = 20_000;

export interface RunOptions {
  readonly seed: number;
  readonly operations: number;
  /** For how long operations are begun. */
  readonly seconds: number;
  readonly promise: Promised;
  /** Whether a kind of fault or of answer that never occurred is a failure. */
  readonly full: boolean;
  /** Empty. */
  readonly databaseUrl: string;
  readonly objectStore: TestObjectStore;
}

export interface RunReport {
  readonly failures: readonly string[];
  /** How often what occurred. */
  readonly counts: Readonly<Record<string, number>>;
  readonly durationMs: number;
}

/**
 * Clients submit workflows through two gateways, repeat and spoil them, while by the plan of the seed everything between
 * them and the database breaks. Then, and over and over on the way, what was charged is held against what was accepted,
 * and every answer against both.
 */
export async function runAccounts(options: RunOptions): Promise<RunReport> {
  const startMs = performance.now();
  const { promise, databaseUrl, objectStore } = options;
  const plan = planAccounts(options);
  const scene = await startScene({ plan, promise, databaseUrl, objectStore });
  const stop = new AbortController();
  const { callers, credits } = plan;
  const clients = createClients({ callers, tokens: scene.tokens, gateways: scene.gateways, stop: stop.signal });
  const strikes = createStrikes(plan, scene);
  const { keyHashes } = scene;
  const findings: Finding[] = [];
  const failures: string[] = [];
  let audits = 0;

  async function readEvidence(): Promise<Evidence> {
    const snapshot = await takeSnapshot(scene.observer);
    const { history } = clients;
    return { promise, callers, credits, keyHashes, history, snapshot, revocation: strikes.revocation() };
  }

  /** What is charged is right at every moment. The first time that it is not is told. */
  async function audit(): Promise<void> {
    audits++;
    const wrong = checkCharges(await readEvidence());
    if (findings.length > 0) return;
    const when = `at ${((performance.now() - startMs) / 1_000).toFixed(3)} s`;
    findings.push(...wrong.map((finding) => ({ ...finding, fault: `${when}: ${finding.fault}` })));
  }

  async function playAll(): Promise<void> {
    const faults = [...plan.faults];
    const pursued: Promise<void>[] = [];
    const begunMs = performance.now();
    let striking: Promise<void> = Promise.resolve();
    for (const [index, operation] of plan.operations.entries()) {
      while (faults.length > 0 && faults[0]!.after <= index) {
        await striking;
        striking = strikes.perform(faults.shift()!.fault, audit).then(audit);
        striking.catch(() => {});
      }
      const dueMs = begunMs + (index * options.seconds * 1_000) / plan.operations.length;
      await sleep(Math.max(0, dueMs - performance.now()));
      const pursuing = clients.run(operation, String(index));
      pursuing.catch(() => {});
      pursued.push(pursuing);
    }
    await striking;
    await strikes.heal();
    await within('all clients to be answered', Promise.all(pursued), CLIENTS_MS);
    await until('all workflows to be over', areAllOver, SETTLE_MS);
  }

  async function areAllOver(): Promise<boolean> {
    const { rows } = await scene.observer.query("select 1 from workflows where state in ('QUEUED', 'RUNNING') limit 1");
    return rows.length === 0;
  }

  try {
    await playAll().catch((error: Error) => failures.push(error.message));
    stop.abort();
    await strikes.heal().catch(() => {});
    failures.push(...(await scene.finish()));
    const evidence = await readEvidence();
    findings.push(...checkCharges(evidence), ...checkOrders(evidence), ...checkLimits(evidence));
    findings.push(...clients.unanswered.map((order) => ({ fault: 'a client of it was never answered', order })));
    const counts = { ...countOutcomes(evidence), ...strikes.counts(), 'in a transaction': strikes.amid(), audits };
    if (options.full) failures.push(...listMissing(counts, promise).map((name) => `never occurred: ${name}`));
    failures.push(...describeFindings(findings, evidence, { startMs, events: strikes.events }));
    return { failures, counts, durationMs: performance.now() - startMs };
  } finally {
    await scene.close();
  }
}
