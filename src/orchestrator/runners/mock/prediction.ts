import type { MadeFile } from '../upload.ts';
import { drawPae, MAX_PAE, meanPae, type PaeMatrix, predictInterfaceTm, predictTm } from './pae.ts';
import type { Random } from './random.ts';
import { round } from './round.ts';
import { foldChains, meanPlddt, type Structure } from './structure.ts';

export interface Prediction {
  readonly structure: Structure;
  readonly pae: PaeMatrix;
  /** `plddt` 0 to 100, `ptm` and `iptm` 0 to 1, `pae` the mean in Å, `length` in residues. */
  readonly metrics: Readonly<Record<'plddt' | 'ptm' | 'iptm' | 'pae' | 'length', number>>;
}

/** What a structure predictor answers for these chains. */
export function predict(
  chains: readonly { readonly id: string; readonly sequence: string }[],
  random: Random,
): Prediction {
  const structure = foldChains(chains, { min: 35, max: 98 }, random);
  const pae = drawPae(structure, random);
  const metrics = {
    plddt: round(meanPlddt(structure), 2),
    ptm: round(predictTm(pae), 4),
    iptm: round(predictInterfaceTm(pae, structure), 4),
    pae: round(meanPae(pae), 2),
    length: pae.length,
  };
  return { structure, pae, metrics };
}

/** The error matrix as a file. Its metrics are not named `pae`: a ranking by that would list each prediction twice. */
export function paeFile({ pae, metrics }: Prediction): MadeFile {
  return {
    text: `${JSON.stringify({ pae, max_pae: MAX_PAE })}\n`,
    contentType: 'application/json',
    extension: 'json',
    metrics: { mean_pae: metrics.pae, length: metrics.length },
  };
}
