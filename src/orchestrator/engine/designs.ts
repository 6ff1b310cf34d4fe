import type { StepRow } from '../store/steps.ts';
import type { Design } from './ranking.ts';

/** Everything that a workflow's finished steps made, in the order of its spec (contract/grpc, RankDesigns). */
export function designsOf(steps: readonly StepRow[]): Design[] {
  return steps.flatMap(({ stepId, state, output }): Design[] => {
    if (state !== 'SUCCEEDED' || !output) return [];
    const artifacts = output.artifacts.map(({ sha256, uri, metrics }): Design => {
      return { id: sha256 || uri, kind: 'artifact', sourceStep: stepId, metrics };
    });
    const sequences = output.sequences.map(({ sampleIndex, globalScore, seqRecovery }): Design => {
      const metrics = { global_score: globalScore, seq_recovery: seqRecovery };
      return { id: `seq:${sampleIndex}`, kind: 'sequence', sourceStep: stepId, metrics };
    });
    return [...artifacts, ...sequences];
  });
}
