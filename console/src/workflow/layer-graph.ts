import type { DagSizes, DagStep } from './layout-dag.ts';

/** A step, or the lane in which an edge passes a layer. */
export interface Cell {
  readonly step: string | undefined;
  readonly before: Cell[];
  readonly after: Cell[];
  readonly height: number;
  /** Its place in its layer, from the top. */
  order: number;
  y: number;
}

interface Path {
  readonly from: string;
  readonly to: string;
  readonly lanes: readonly Cell[];
}

/** How high a lane is, in parts of a step. */
const LANE_SHARE = 0.25;
/** Beyond this the lines are no picture any more, and only those are drawn that do not follow from others. */
const MOST_PIECES = 1_500;

/** Puts every step one layer behind the last of those that it depends on, and an edge into a lane of each layer it passes. */
export function toLayers(steps: readonly DagStep[], { stepHeight }: Pick<DagSizes, 'stepHeight'>) {
  const layerOf = rankSteps(steps);
  const cells = new Map<string, Cell>();
  const layers: Cell[][] = Array.from({ length: Math.max(0, ...layerOf.values()) + 1 }, () => []);
  const add = (step: string | undefined, layer: number): Cell => {
    const height = step === undefined ? stepHeight * LANE_SHARE : stepHeight;
    const cell: Cell = { step, before: [], after: [], height, order: 0, y: 0 };
    layers[layer]!.push(cell);
    return cell;
  };
  for (const { id } of steps) cells.set(id, add(id, layerOf.get(id)!));

  const drawn = drawnEdges(steps, layerOf);
  const paths = drawn.edges.map(({ from, to }): Path => {
    const lanes: Cell[] = [];
    for (let layer = layerOf.get(from)! + 1; layer < layerOf.get(to)!; layer++) lanes.push(add(undefined, layer));
    const way = [cells.get(from)!, ...lanes, cells.get(to)!];
    for (const [index, cell] of way.slice(1).entries()) {
      way[index]!.after.push(cell);
      cell.before.push(way[index]!);
    }
    return { from, to, lanes };
  });
  return { cells, layers, paths, hiddenEdges: drawn.hidden };
}

/** The length of the longest way to each step. The gateway accepts no cycle; one would end here all the same. */
function rankSteps(steps: readonly DagStep[]): Map<string, number> {
  const byId = new Map(steps.map((step) => [step.id, step]));
  const layerOf = new Map<string, number>();
  const open = new Set<string>();
  const rank = (id: string): number => {
    const known = layerOf.get(id);
    if (known !== undefined) return known;
    open.add(id);
    const before = byId.get(id)!.depends_on.filter((other) => byId.has(other) && !open.has(other));
    const layer = Math.max(-1, ...before.map(rank)) + 1;
    open.delete(id);
    layerOf.set(id, layer);
    return layer;
  };
  for (const { id } of steps) rank(id);
  return layerOf;
}

interface Edge {
  readonly from: string;
  readonly to: string;
}

function drawnEdges(
  steps: readonly DagStep[],
  layerOf: ReadonlyMap<string, number>,
): { edges: Edge[]; hidden: number } {
  const spanOf = ({ from, to }: Edge) => layerOf.get(to)! - layerOf.get(from)!;
  const all = steps.flatMap(({ id: to, depends_on }) =>
    [...new Set(depends_on)]
      .filter((from) => layerOf.has(from))
      .map((from): Edge => ({ from, to }))
      .filter((edge) => spanOf(edge) > 0),
  );
  const pieces = all.reduce((sum, edge) => sum + spanOf(edge), 0);
  if (pieces <= MOST_PIECES) return { edges: all, hidden: 0 };
  const implied = impliedEdges(steps, layerOf, all);
  const edges = all.filter((edge) => !implied.has(edge));
  return { edges, hidden: all.length - edges.length };
}

/** The edges that another way leads along as well. Sets of steps are bits: there may be thousands of edges. */
function impliedEdges(steps: readonly DagStep[], layerOf: ReadonlyMap<string, number>, edges: readonly Edge[]) {
  const bitOf = new Map(steps.map(({ id }, index) => [id, 1n << BigInt(index)]));
  const before = Map.groupBy(edges, ({ to }) => to);
  const ancestors = new Map<string, bigint>();
  const implied = new Set<Edge>();
  for (const { id } of steps.toSorted((a, b) => layerOf.get(a.id)! - layerOf.get(b.id)!)) {
    const incoming = before.get(id) ?? [];
    const further = incoming.reduce((set, { from }) => set | ancestors.get(from)!, 0n);
    for (const edge of incoming) if (further & bitOf.get(edge.from)!) implied.add(edge);
    ancestors.set(
      id,
      incoming.reduce((set, { from }) => set | bitOf.get(from)!, further),
    );
  }
  return implied;
}
