import { useEffect, useRef, useState } from 'preact/hooks';
import { type Api, ApiFault, type Ranking, type Workflow } from '../api.ts';
import { FaultNotice } from '../fault-notice.tsx';
import { metricsOf } from './metrics-of.ts';
import { type FieldFaults, type RankFields, toFieldFaults, toRankRequest } from './rank-query.ts';
import { RankingForm } from './ranking-form.tsx';
import { RankingTable } from './ranking-table.tsx';

interface RankingPanelProps {
  readonly api: Api;
  readonly workflow: Workflow;
}

interface Outcome {
  readonly ranking?: Ranking;
  /** What the ranking was made by. */
  readonly metric?: string;
  readonly faults: FieldFaults;
  /** What has no field. */
  readonly fault?: unknown;
}

/** Orders what the workflow has made by a metric. */
export function RankingPanel({ api, workflow }: RankingPanelProps) {
  const metrics = metricsOf(workflow);
  const [fields, setFields] = useState<RankFields>({ metric: '', order: 'best', filters: [], topK: '' });
  const [outcome, setOutcome] = useState<Outcome>({ faults: {} });
  const [pending, setPending] = useState(false);
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const filled = { ...fields, metric: fields.metric || metrics[0] || '' };

  async function rank(): Promise<void> {
    const read = toRankRequest(filled);
    if ('faults' in read) return setOutcome({ ...outcome, fault: undefined, faults: read.faults });
    running.current?.abort();
    const controller = new AbortController();
    const { signal } = controller;
    running.current = controller;
    setPending(true);
    try {
      const ranking = await api.rankDesigns(workflow.id, read.request, { signal });
      setOutcome({ ranking, metric: read.request.metric, faults: {} });
    } catch (error) {
      if (signal.aborted) return;
      const faults = error instanceof ApiFault && error.errors ? toFieldFaults(error) : {};
      setOutcome({ ...outcome, faults, fault: Object.keys(faults).length > 0 ? undefined : error });
    }
    setPending(false);
  }

  if (metrics.length === 0) {
    return <p class="quiet">Nothing to rank yet: no step that has finished has made anything with a metric.</p>;
  }
  return (
    <section class="stack" aria-label="Ranking">
      <RankingForm
        metrics={metrics}
        fields={filled}
        faults={outcome.faults}
        pending={pending}
        onChange={setFields}
        onRank={() => void rank()}
      />
      {outcome.fault !== undefined && <FaultNotice fault={outcome.fault} />}
      {outcome.ranking && outcome.metric !== undefined && (
        <RankingTable ranking={outcome.ranking} metric={outcome.metric} workflow={workflow} />
      )}
    </section>
  );
}
