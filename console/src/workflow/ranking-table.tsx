import { useState } from 'preact/hooks';
import type { Ranking, Workflow } from '../api.ts';
import { filesOf, shortName } from './artifact-files.ts';
import { countOf, formatMetric } from './figures.ts';
import { metricsOf } from './metrics-of.ts';
import { ScrollBox } from './scroll-box.tsx';
import { type Sorting, sortRows } from './sort-rows.ts';
import { SortableHead } from './sortable-head.tsx';

type Design = Ranking['designs'][number];

interface RankingTableProps {
  readonly ranking: Ranking;
  /** What it was made by. */
  readonly metric: string;
  readonly workflow: Workflow;
}

/** Metrics may be called anything, also `rank`. */
const METRIC = 'metric:';

/** The designs in the order of their rank, or of any column. */
export function RankingTable({ ranking, metric, workflow }: RankingTableProps) {
  const [sorting, setSorting] = useState<Sorting<string>>({ column: 'rank', direction: 'ascending' });
  const { designs, total_considered, total_ranked } = ranking;
  const names = new Map(
    filesOf(workflow).map(({ artifact, name }) => [artifact.sha256 || artifact.uri, shortName(name)]),
  );
  const nameOf = ({ id, kind }: Design) =>
    kind === 'sequence' ? `Sequence ${id.replace(/^seq:/, '')}` : (names.get(id) ?? id);
  const readValue = (design: Design) => {
    if (sorting.column === 'rank') return design.rank;
    if (sorting.column === 'design') return nameOf(design);
    if (sorting.column === 'step') return design.source_step;
    const name = sorting.column.slice(METRIC.length);
    return Object.hasOwn(design.metrics, name) ? design.metrics[name] : undefined;
  };
  const has = (name: string) => designs.some(({ metrics }) => Object.hasOwn(metrics, name));
  const columns = [metric, ...metricsOf(workflow).filter((name) => name !== metric && has(name))];
  const head = { sorting, onSort: setSorting };
  return (
    <div class="stack-small">
      <p role="status" class="small quiet">
        {designs.length === total_ranked
          ? `${countOf(total_ranked, 'design')} ranked`
          : `The best ${designs.length} of ${countOf(total_ranked, 'ranked design')}`}
        , of {total_considered} considered.
      </p>
      {designs.length > 0 && (
        <ScrollBox label="Ranked designs">
          <table class="table">
            <caption class="visually-hidden">Designs ranked by {metric}</caption>
            <thead>
              <tr>
                <SortableHead column="rank" title="Rank" isNumber {...head} />
                <SortableHead column="design" title="Design" {...head} />
                <SortableHead column="step" title="Step" {...head} />
                {columns.map((name) => (
                  <SortableHead key={name} column={METRIC + name} title={name} first="descending" isNumber {...head} />
                ))}
              </tr>
            </thead>
            <tbody>
              {sortRows(designs, readValue, sorting.direction).map((design) => (
                <tr key={design.rank}>
                  <td class="number">{design.rank}</td>
                  <td class="mono">{nameOf(design)}</td>
                  <td>{design.source_step}</td>
                  {columns.map((name) => (
                    <td key={name} class="number">
                      {Object.hasOwn(design.metrics, name) ? formatMetric(design.metrics[name]!) : '–'}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollBox>
      )}
    </div>
  );
}
