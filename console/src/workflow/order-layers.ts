import type { Cell } from './layer-graph.ts';

const SWEEPS = 8;

/** Sweeps forth and back, and keeps the order with the fewest crossings. */
export function orderLayers(layers: Cell[][]): void {
  const number = () => {
    for (const layer of layers) for (const [order, cell] of layer.entries()) cell.order = order;
  };
  number();
  let best = layers.map((layer) => [...layer]);
  let fewest = countCrossings(layers);
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
    const forth = sweep % 2 === 0;
    for (const layer of forth ? layers : layers.toReversed()) {
      const centre = new Map(layer.map((cell) => [cell, barycentre(cell, forth ? cell.before : cell.after)]));
      // Stable: cells that pull to the same place stay as they were.
      layer.sort((a, b) => centre.get(a)! - centre.get(b)!);
      for (const [order, cell] of layer.entries()) cell.order = order;
    }
    const crossings = countCrossings(layers);
    if (crossings < fewest) {
      fewest = crossings;
      best = layers.map((layer) => [...layer]);
    }
  }
  for (const [index, layer] of best.entries()) layers[index] = layer;
  number();
}

function barycentre({ order }: Cell, neighbours: readonly Cell[]): number {
  return neighbours.length === 0
    ? order
    : neighbours.reduce((sum, neighbour) => sum + neighbour.order, 0) / neighbours.length;
}

/** How often lines cross between neighbouring layers: inversions, counted with a tree of sums. */
export function countCrossings(layers: readonly (readonly Pick<Cell, 'after' | 'order'>[])[]): number {
  let crossings = 0;
  for (const [index, layer] of layers.entries()) {
    const size = layers[index + 1]?.length ?? 0;
    const sums = new Array<number>(size + 1).fill(0);
    let seen = 0;
    for (const { after } of layer) {
      const ends = after.map(({ order }) => order).sort((a, b) => a - b);
      for (const end of ends) {
        let notBeyond = 0;
        for (let i = end + 1; i > 0; i -= i & -i) notBeyond += sums[i]!;
        crossings += seen - notBeyond;
      }
      for (const end of ends) for (let i = end + 1; i <= size; i += i & -i) sums[i]! += 1;
      seen += ends.length;
    }
  }
  return crossings;
}
