import { EntityType } from '../../../gen/foldforge/boltz/v1/boltz_pb.ts';
import type { StepOutput } from '../runner.ts';
import { refuse } from '../step-failure.ts';
import { bestChains } from './fasta.ts';
import { choice, filledText, pattern, residues } from './param-kinds.ts';
import { optional, required, type ValuesOf, withDefault } from './param-table.ts';

const entityId = pattern('1 to 4 letters or digits', /^[A-Za-z0-9]{1,4}$/);
const entityType = choice('entity_type_', {
  protein: EntityType.PROTEIN,
  dna: EntityType.DNA,
  rna: EntityType.RNA,
});

export const chainParams = {
  id: withDefault(entityId, 'A', 'its name in the structure', 'A'),
  sequence: optional(residues({ chains: 'one' }), 'its residues'),
  entity_type: withDefault(entityType, EntityType.PROTEIN, 'what it is made of', 'protein'),
};

export const ligandParams = {
  id: required(entityId, 'its name in the structure'),
  smiles: optional(filledText, 'what it is, in SMILES'),
  ccd: optional(filledText, 'what it is, by its code in the Chemical Component Dictionary'),
};

type ChainValues = ValuesOf<typeof chainParams>;
type LigandValues = ValuesOf<typeof ligandParams>;

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** Throws StepFailure, INVALID_ARGUMENT. */
export function checkEntities(chains: readonly ChainValues[], ligands: readonly LigandValues[]): void {
  const taken = new Set<string>();
  for (const [list, entities] of Object.entries({ chains, ligands })) {
    for (const [index, { id }] of entities.entries()) {
      if (taken.has(id))
        throw refuse('INVALID_ARGUMENT', `params.${list}[${index}].id is ${id}, which another one has`);
      taken.add(id);
    }
  }
  for (const [index, { smiles, ccd }] of ligands.entries()) {
    if ((smiles === undefined) !== (ccd === undefined)) continue;
    throw refuse('INVALID_ARGUMENT', `params.ligands[${index}] must have one of smiles and ccd`);
  }
  const blank = chains.findIndex((chain) => chain.sequence === undefined && chain.entity_type !== EntityType.PROTEIN);
  if (blank >= 0) {
    throw refuse('INVALID_ARGUMENT', `params.chains[${blank}].sequence is missing, and only proteins are designed`);
  }
}

/**
 * The chains of the request: those that are given, where the ones without a sequence get the best designed one's; else
 * the designed ones alone, named A, B and so on. Throws StepFailure, INVALID_INPUT.
 */
export function chainsOf(
  given: readonly ChainValues[],
  ligands: readonly LigandValues[],
  inputs: readonly StepOutput[],
) {
  if (given.length === 0) {
    const designed = bestChains(inputs, 'params.chains');
    const names = freeNames(designed.length, new Set(ligands.map(({ id }) => id)));
    return designed.map((sequence, index) => ({ id: names[index]!, sequence, entityType: EntityType.PROTEIN }));
  }
  const designed = designedFor(given, inputs);
  let next = 0;
  return given.map(({ id, sequence, entity_type }) => {
    return { id, sequence: sequence ?? designed[next++]!, entityType: entity_type };
  });
}

/** One sequence for each chain that has none. A single designed chain serves for all of them. */
function designedFor(given: readonly ChainValues[], inputs: readonly StepOutput[]): string[] {
  const blanks = given.filter(({ sequence }) => sequence === undefined).length;
  if (blanks === 0) return [];
  const index = given.findIndex(({ sequence }) => sequence === undefined);
  const designed = bestChains(inputs, `params.chains[${index}].sequence`);
  if (designed.length === 1) return Array.from({ length: blanks }, () => designed[0]!);
  if (designed.length === blanks) return designed;
  throw refuse(
    'INVALID_INPUT',
    `the best designed sequence has ${designed.length} chains, but params.chains has ${blanks} without a sequence`,
  );
}

export function ligandsOf(ligands: readonly LigandValues[]) {
  return ligands.map(({ id, smiles = '', ccd = '' }) => ({ id, smiles, ccd }));
}

function freeNames(count: number, taken: ReadonlySet<string>): string[] {
  const free = [...LETTERS].filter((letter) => !taken.has(letter));
  if (count <= free.length) return free.slice(0, count);
  throw refuse('INVALID_INPUT', `the best designed sequence has ${count} chains, but only ${free.length} can be named`);
}
