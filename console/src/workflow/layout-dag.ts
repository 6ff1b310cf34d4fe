import { type Cell, toLayers } from './layer-graph.ts';
import { orderLayers } from './order-layers.ts';
import { placeRows } from './place-rows.ts';

export interface DagStep {
  readonly id: string;
  readonly depends_on: readonly string[];
}

/** Pixels; x and y are of the upper left corner. */
export interface PlacedStep {
  readonly id: string;
  readonly layer: number;
  readonly x: number;
  readonly y: number;
}

export interface DagEdge {
  readonly from: string;
  readonly to: string;
  /** Where the line goes through, from the right side of one step to the left side of the other. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface DagLayout {
  readonly width: number;
  readonly height: number;
  /** In reading order: by layer, then from top to bottom. */
  readonly steps: readonly PlacedStep[];
  readonly edges: readonly DagEdge[];
  /** How many dependencies are not drawn, because they follow from others and there are too many to see. */
  readonly hiddenEdges: number;
}

export interface DagSizes {
  readonly stepWidth: number;
  readonly stepHeight: number;
  readonly layerGap: number;
  readonly rowGap: number;
  readonly margin: number;
}

export const DAG_SIZES: DagSizes = { stepWidth: 216, stepHeight: 64, layerGap: 56, rowGap: 18, margin: 10 };

/**
 * Draws a graph from left to right (Sugiyama): every step one layer behind the last of those that it depends on, the
 * order within the layers by sweeps of barycentres that cut crossings. Equal input gives equal output. A dependency
 * that is no step of the graph is left out.
 */
export function layoutDag(steps: readonly DagStep[], sizes: DagSizes = DAG_SIZES): DagLayout {
  const { cells, layers, paths, hiddenEdges } = toLayers(steps, sizes);
  orderLayers(layers);
  placeRows(layers, sizes.rowGap);
  const xOf = (layer: number) => sizes.margin + layer * (sizes.stepWidth + sizes.layerGap);
  const layerOf = new Map(layers.flatMap((layer, index) => layer.map((cell) => [cell, index] as const)));
  const middle = (cell: Cell) => sizes.margin + cell.y + cell.height / 2;

  const placed = layers.flatMap((layer, index) =>
    layer.flatMap(({ step, y }) =>
      step === undefined ? [] : [{ id: step, layer: index, x: xOf(index), y: sizes.margin + y }],
    ),
  );
  const edges = paths.map(({ from, to, lanes }): DagEdge => {
    const first = cells.get(from)!;
    const last = cells.get(to)!;
    const passed = lanes.flatMap((lane): [number, number][] => {
      const x = xOf(layerOf.get(lane)!);
      return [
        [x, middle(lane)],
        [x + sizes.stepWidth, middle(lane)],
      ];
    });
    const start: [number, number] = [xOf(layerOf.get(first)!) + sizes.stepWidth, middle(first)];
    return { from, to, points: [start, ...passed, [xOf(layerOf.get(last)!), middle(last)]] };
  });
  const bottom = layers.flat().reduce((lowest, { y, height }) => Math.max(lowest, y + height), 0);
  return {
    width: xOf(layers.length - 1) + sizes.stepWidth + sizes.margin,
    height: bottom + 2 * sizes.margin,
    steps: placed,
    edges,
    hiddenEdges,
  };
}
