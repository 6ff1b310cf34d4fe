import type { Log } from '../../shared/log.ts';
import type { Metrics } from '../metrics.ts';
import type { ArtifactStore } from './artifact-store.ts';
import type { Orchestrator } from './orchestrator.ts';
import { createOrchestratorProbe } from './probe-orchestrator.ts';
import { createWatch, type Probe } from './watch-dependency.ts';

/** Bound of one probe, in milliseconds. docs/operations.md tells Kubernetes to wait longer than this. */
const PROBE_TIMEOUT_MS = 3_000;
/** A question to the store costs money in some places, and nothing but a gauge hangs on it. */
const PERIODS_BETWEEN_STORE_PROBES = 10;
/** How long the answer of a deep probe is good for whoever asks next, in milliseconds. */
const DEEP_REUSED_MS = 1_000;

type DependencyState = 'ok' | 'failing' | 'not_configured';

/** What a deep probe has found. */
export interface DependencyChecks {
  readonly orchestrator: DependencyState;
  readonly object_store: DependencyState;
}

interface Parts {
  readonly orchestrator: Pick<Orchestrator, 'checkHealth' | 'listWorkflows'>;
  readonly store: Pick<ArtifactStore, 'probe'>;
  readonly metrics: Pick<Metrics, 'dependencyUp'>;
  readonly log: Log;
  readonly periodMs: number;
  /** Failures in a row after which a dependency is down. */
  readonly threshold: number;
}

export type Readiness = ReturnType<typeof createReadiness>;

/**
 * Watches what the gateway needs. It is ready while an orchestrator serves: a store that is away takes the downloads with
 * it and nothing else. When a dependency turns, the log says why.
 */
export function createReadiness({ orchestrator, store, metrics, log, periodMs, threshold }: Parts) {
  const askOrchestrator = createOrchestratorProbe(orchestrator, PROBE_TIMEOUT_MS);
  const askStore: Probe | undefined = store.probe && {
    ask: store.probe,
    restPeriods: () => PERIODS_BETWEEN_STORE_PROBES,
  };

  function watch(dependency: keyof DependencyChecks, probe: Probe, down: string, up: string) {
    let wasDown = false;
    return createWatch({
      probe,
      periodMs,
      threshold,
      onChange(isUp, err) {
        metrics.dependencyUp.set({ dependency }, Number(isUp));
        if (!isUp) log.warn({ err }, down);
        else if (wasDown) log.info(up);
        wasDown = !isUp;
      },
    });
  }

  const orchestratorWatch = watch(
    'orchestrator',
    askOrchestrator,
    'not ready: no orchestrator serves',
    'ready again: an orchestrator serves',
  );
  const storeWatch =
    askStore && watch('object_store', askStore, 'the object store does not serve', 'the object store serves again');

  const closing = new AbortController();
  async function check(dependency: keyof DependencyChecks, probe: Probe | undefined): Promise<DependencyState> {
    if (!probe) return 'not_configured';
    return probe.ask(closing.signal).then(
      () => 'ok',
      (err: unknown) => {
        log.warn({ err, dependency }, 'a deep probe failed');
        return 'failing';
      },
    );
  }
  async function checkAll(): Promise<DependencyChecks> {
    const [orchestrator, object_store] = await Promise.all([
      check('orchestrator', askOrchestrator),
      check('object_store', askStore),
    ]);
    return { orchestrator, object_store };
  }
  let deep: { readonly checks: Promise<DependencyChecks>; endedAt: number } | undefined;

  return {
    /** From what is known: nobody can make it ask more often. */
    isReady: (): Promise<boolean> => orchestratorWatch.isUp(),

    /**
     * Asks every dependency now, whatever was known. Whoever comes while that goes on, or within a second of its end, gets the
     * same answer.
     */
    checkNow(): Promise<DependencyChecks> {
      if (deep && performance.now() - deep.endedAt < DEEP_REUSED_MS) return deep.checks;
      const made = { checks: checkAll(), endedAt: Number.POSITIVE_INFINITY };
      deep = made;
      void made.checks.finally(() => {
        made.endedAt = performance.now();
      });
      return made.checks;
    },

    /** From now on dependencies are asked without being asked for. */
    start(): void {
      orchestratorWatch.start();
      storeWatch?.start();
    },

    close(): void {
      closing.abort();
      orchestratorWatch.close();
      storeWatch?.close();
    },
  };
}
