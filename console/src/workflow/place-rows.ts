import type { Cell } from './layer-graph.ts';

const SWEEPS = 8;

/** Puts each cell as near to its neighbours as its order allows. The highest cell has y 0; `rowGap` is pixels. */
export function placeRows(layers: readonly (readonly Cell[])[], rowGap: number): void {
  for (const layer of layers) stack(layer, rowGap);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forth = sweep % 2 === 0;
    for (const layer of forth ? layers : layers.toReversed()) {
      settle(layer, (cell) => (forth ? cell.before : cell.after), rowGap);
    }
  }
  const cells = layers.flat();
  const top = cells.reduce((highest, { y }) => Math.min(highest, y), Number.POSITIVE_INFINITY);
  for (const cell of cells) cell.y = Math.round(cell.y - top);
}

function stack(layer: readonly Cell[], gap: number): void {
  let y = 0;
  for (const cell of layer) {
    cell.y = y;
    y += cell.height + gap;
  }
}

/** Moves runs of touching cells to the mean of what their members pull to (isotonic regression by pooling neighbours). */
function settle(layer: readonly Cell[], neighboursOf: (cell: Cell) => readonly Cell[], gap: number): void {
  interface Run {
    readonly cells: Cell[];
    /** Where the first cell would be, as the sum of what each cell asks for. */
    sum: number;
    weight: number;
  }
  const runs: Run[] = [];
  let offset = 0;
  const offsets = new Map<Cell, number>();
  for (const cell of layer) {
    offsets.set(cell, offset);
    const neighbours = neighboursOf(cell);
    const wish =
      neighbours.length === 0
        ? cell.y
        : neighbours.reduce((sum, { y, height }) => sum + y + height / 2, 0) / neighbours.length - cell.height / 2;
    let run: Run = { cells: [cell], sum: wish - offset, weight: 1 };
    while (runs.length > 0 && runs.at(-1)!.sum / runs.at(-1)!.weight > run.sum / run.weight) {
      const above = runs.pop()!;
      run = { cells: [...above.cells, ...run.cells], sum: above.sum + run.sum, weight: above.weight + run.weight };
    }
    runs.push(run);
    offset += cell.height + gap;
  }
  for (const { cells, sum, weight } of runs) for (const cell of cells) cell.y = sum / weight + offsets.get(cell)!;
}
