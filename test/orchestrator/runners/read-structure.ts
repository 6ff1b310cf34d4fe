import assert from 'node:assert/strict';

type Point = readonly [x: number, y: number, z: number];

/** One atom as either format gives it. */
export interface ReadAtom {
  readonly serial: number;
  readonly name: string;
  readonly residue: string;
  readonly chain: string;
  readonly number: number;
  readonly position: Point;
  readonly occupancy: number;
  readonly bFactor: number;
  readonly element: string;
}

/** A strict reader of ATOM lines (PDB format 3.3, "Coordinate section"): every column is accounted for. */
const ATOM_LINE = new RegExp(
  [
    /^ATOM {2}(?<serial>[ \d]{4}\d) (?<name> [A-Z][A-Z ]{2}) (?<residue>[A-Z]{3}) (?<chain>[A-Z])(?<number>[ \d]{3}\d) {4}/,
    /(?<x>[ \d-]{3}\d\.\d{3})(?<y>[ \d-]{3}\d\.\d{3})(?<z>[ \d-]{3}\d\.\d{3})/,
    /(?<occupancy>[ \d]{2}\d\.\d{2})(?<bFactor>[ \d]{2}\d\.\d{2}) {10}(?<element> [A-Z]) {2}$/,
  ]
    .map(({ source }) => source)
    .join(''),
);

export function readPdb(text: string): { atoms: ReadAtom[]; sequences: Map<string, string[]>; lines: string[] } {
  assert.ok(text.endsWith('\n'));
  const lines = text.slice(0, -1).split('\n');
  const atoms: ReadAtom[] = [];
  const sequences = new Map<string, string[]>();
  for (const line of lines) {
    assert.equal(line.length, 80, `not 80 columns: ${line}`);
    if (line.startsWith('SEQRES')) {
      const chain = line[11]!;
      sequences.set(chain, [...(sequences.get(chain) ?? []), ...line.slice(19).trim().split(' ')]);
    }
    if (!line.startsWith('ATOM')) continue;
    const match = ATOM_LINE.exec(line)?.groups;
    assert.ok(match, `not an ATOM line: ${line}`);
    atoms.push({
      serial: Number(match.serial),
      name: match.name!.trim(),
      residue: match.residue!,
      chain: match.chain!,
      number: Number(match.number),
      position: [Number(match.x), Number(match.y), Number(match.z)],
      occupancy: Number(match.occupancy),
      bFactor: Number(match.bFactor),
      element: match.element!.trim(),
    });
  }
  return { atoms, sequences, lines };
}

/** The loops and single items of a CIF file (CIF 1.1) by category; quotes are single and stand on one line. */
export function readCif(text: string): { name: string; categories: Map<string, Record<string, string>[]> } {
  const tokens = [...text.matchAll(/#.*$|'([^']*)'(?=\s)|(\S+)/gm)]
    .filter(([whole]) => !whole.startsWith('#'))
    .map(([, quoted, bare]) => ({ text: quoted ?? bare!, bare: quoted === undefined }));
  const isName = (i: number) => tokens[i]?.bare === true && tokens[i].text.startsWith('_');
  const isValue = (i: number) => i < tokens.length && !isName(i) && !(tokens[i]!.bare && tokens[i]!.text === 'loop_');
  assert.match(tokens[0]!.text, /^data_\S+$/);
  const categories = new Map<string, Record<string, string>[]>();
  let at = 1;
  while (at < tokens.length) {
    if (isName(at)) {
      const [category, item] = tokens[at]!.text.slice(1).split('.') as [string, string];
      assert.ok(isValue(at + 1), `no value for ${tokens[at]!.text}`);
      const [row] = categories.get(category) ?? [{}];
      categories.set(category, [{ ...row, [item]: tokens[at + 1]!.text }]);
      at += 2;
      continue;
    }
    assert.equal(tokens[at]!.text, 'loop_');
    const names: string[] = [];
    for (at++; isName(at); at++) names.push(tokens[at]!.text.slice(1));
    const cells: string[] = [];
    for (; isValue(at); at++) cells.push(tokens[at]!.text);
    assert.equal(new Set(names.map((name) => name.split('.')[0])).size, 1, 'a loop over two categories');
    assert.equal(cells.length % names.length, 0, `a ragged loop over ${names[0]}`);
    const rows = Array.from({ length: cells.length / names.length }, (_, row) =>
      Object.fromEntries(names.map((name, i) => [name.split('.')[1]!, cells[row * names.length + i]!])),
    );
    categories.set(names[0]!.split('.')[0]!, rows);
  }
  return { name: tokens[0]!.text.slice('data_'.length), categories };
}

export function distance(a: Point, b: Point): number {
  return Math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2);
}
