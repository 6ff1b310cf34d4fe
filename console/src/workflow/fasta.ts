import type { DesignedSequence, Workflow } from '../api.ts';

export interface SequenceRow {
  readonly stepId: string;
  readonly sample: number;
  readonly score: number | undefined;
  readonly recovery: number | undefined;
  /** The residues alone, one letter each. */
  readonly residues: string;
  readonly fasta: string;
}

/** Every designed sequence, in the order of the steps. */
export function sequencesOf({ steps, step_statuses }: Pick<Workflow, 'steps' | 'step_statuses'>): SequenceRow[] {
  const byStep = new Map(step_statuses.map((status) => [status.step_id, status.sequences]));
  return steps.flatMap(({ id }) => (byStep.get(id) ?? []).map((sequence) => toRow(id, sequence)));
}

export function toRow(
  stepId: string,
  { fasta, global_score, seq_recovery, sample_index }: DesignedSequence,
): SequenceRow {
  return {
    stepId,
    sample: sample_index,
    score: global_score,
    recovery: seq_recovery,
    residues: residuesOf(fasta),
    fasta,
  };
}

/** A FASTA record without its title, its line breaks and the asterisk that may end it. */
function residuesOf(fasta: string): string {
  return fasta
    .split(/\r?\n/)
    .filter((line) => !line.startsWith('>') && !line.startsWith(';'))
    .join('')
    .replace(/\s+/g, '')
    .replace(/\*$/, '');
}

/** One FASTA text of many records, each of which ends in a line break and has a title. */
export function toFasta(rows: readonly SequenceRow[]): string {
  return rows
    .map(({ fasta, stepId, sample }) => {
      const record = fasta.startsWith('>') ? fasta : `>${stepId}, sample=${sample}\n${fasta}`;
      return record.endsWith('\n') ? record : `${record}\n`;
    })
    .join('');
}
