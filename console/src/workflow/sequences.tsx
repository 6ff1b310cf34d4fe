import { useState } from 'preact/hooks';
import { CopyButton } from './copy-button.tsx';
import { type SequenceRow, toFasta } from './fasta.ts';
import { countOf } from './figures.ts';
import { saveBlob } from './save-blob.ts';
import { ScrollBox } from './scroll-box.tsx';
import { type Sorting, sortRows } from './sort-rows.ts';
import { SortableHead } from './sortable-head.tsx';

type Column = 'step' | 'sample' | 'score' | 'recovery' | 'length';

interface SequencesProps {
  readonly rows: readonly SequenceRow[];
  /** The name of the table. */
  readonly label: string;
  readonly showsStep?: boolean;
}

const VALUES: Readonly<Record<Column, (row: SequenceRow) => string | number | undefined>> = {
  step: ({ stepId }) => stepId,
  sample: ({ sample }) => sample,
  score: ({ score }) => score,
  recovery: ({ recovery }) => recovery,
  length: ({ residues }) => residues.length,
};

/** Designed sequences, the best first. */
export function Sequences({ rows, label, showsStep = false }: SequencesProps) {
  const [sorting, setSorting] = useState<Sorting<Column>>({ column: 'score', direction: 'ascending' });
  if (rows.length === 0) return <p class="quiet">No sequences yet.</p>;
  const sorted = sortRows(rows, VALUES[sorting.column], sorting.direction);
  const download = () => saveBlob(new Blob([toFasta(sorted)], { type: 'text/x-fasta' }), 'sequences.fasta');
  const head = { sorting, onSort: setSorting };
  return (
    <div class="stack-small">
      <div class="table-bar">
        <p class="small quiet">{countOf(rows.length, 'sequence')}. A lower score is better.</p>
        <button type="button" class="button button-small" onClick={download}>
          Download FASTA
        </button>
      </div>
      <ScrollBox label={label}>
        <table class="table sequences">
          <caption class="visually-hidden">{label}</caption>
          <thead>
            <tr>
              {showsStep && <SortableHead column="step" title="Step" {...head} />}
              <SortableHead column="sample" title="Sample" isNumber {...head} />
              <SortableHead column="score" title="Score" isNumber {...head} />
              <SortableHead column="recovery" title="Recovery" first="descending" isNumber {...head} />
              <SortableHead column="length" title="Residues" first="descending" isNumber {...head} />
              <th scope="col">Sequence</th>
              <th scope="col">
                <span class="visually-hidden">Copy</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {sorted.map((row) => (
              <tr key={`${row.stepId} ${row.sample} ${row.fasta}`}>
                {showsStep && <td>{row.stepId}</td>}
                <td class="number">{row.sample}</td>
                <td class="number">{row.score === undefined ? '–' : row.score.toFixed(4)}</td>
                <td class="number">{row.recovery === undefined ? '–' : `${(row.recovery * 100).toFixed(1)} %`}</td>
                <td class="number">{row.residues.length}</td>
                <td class="residues mono">{row.residues}</td>
                <td>
                  <CopyButton text={row.residues} what={`sequence ${row.sample} of ${row.stepId}`} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
    </div>
  );
}
