import type { Atom, Residue, Structure } from './structure.ts';

/**
 * The structure in the PDB's fixed columns (wwPDB format 3.3), 80 characters a line, with pLDDT as the B factor.
 * `title` is one line of at most 70 characters; so is each remark, of at most 68.
 */
export function writePdb(structure: Structure, title: string, remarks: readonly string[]): string {
  const lines = ['HEADER    DE NOVO PROTEIN', `TITLE     ${title}`];
  lines.push('REMARK   1', ...remarks.map((remark) => `REMARK   1 ${remark}`));
  for (const chain of structure) lines.push(...sequenceLines(chain.id, chain.residues));
  let serial = 0;
  for (const { id, residues } of structure) {
    for (const [index, residue] of residues.entries()) {
      for (const atom of residue.atoms) lines.push(atomLine(++serial, atom, residue, id, index + 1));
    }
    const last = residues.at(-1)!;
    lines.push(`TER   ${right(++serial, 5)}      ${last.name} ${id}${right(residues.length, 4)}`);
  }
  lines.push('END');
  return lines.map((line) => `${line.padEnd(80)}\n`).join('');
}

function sequenceLines(chain: string, residues: readonly Residue[]): string[] {
  const lines: string[] = [];
  for (let start = 0; start < residues.length; start += 13) {
    const names = residues.slice(start, start + 13).map(({ name }) => name);
    lines.push(`SEQRES ${right(start / 13 + 1, 3)} ${chain} ${right(residues.length, 4)}  ${names.join(' ')}`);
  }
  return lines;
}

function atomLine(serial: number, atom: Atom, residue: Residue, chain: string, number: number): string {
  const [x, y, z] = atom.position.map((value) => value.toFixed(3).padStart(8));
  // The name of a one-letter element begins in the second of its four columns.
  const name = ` ${atom.name.padEnd(3)}`;
  const place = `${residue.name} ${chain}${right(number, 4)}`;
  const factors = `${right('1.00', 6)}${right(residue.plddt.toFixed(2), 6)}`;
  return `ATOM  ${right(serial, 5)} ${name} ${place}    ${x}${y}${z}${factors}          ${right(atom.element, 2)}`;
}

function right(value: number | string, width: number): string {
  return String(value).padStart(width);
}
