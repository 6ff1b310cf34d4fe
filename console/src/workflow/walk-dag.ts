import type { DagLayout, PlacedStep } from './layout-dag.ts';

/**
 * Where an arrow key leads from a step: up and down within its layer, left and right to the nearest step of the next
 * layers, one that it is joined to before others. Home and End lead to the first and the last step. Undefined: nowhere.
 */
export function walkDag({ steps, edges }: DagLayout, from: string, key: string): string | undefined {
  const current = steps.find(({ id }) => id === from);
  if (!current) return undefined;
  const inLayer = (layer: number) => steps.filter((step) => step.layer === layer);
  switch (key) {
    case 'Home':
      return steps[0]?.id;
    case 'End':
      return steps.at(-1)?.id;
    case 'ArrowUp':
      return inLayer(current.layer).findLast(({ y }) => y < current.y)?.id;
    case 'ArrowDown':
      return inLayer(current.layer).find(({ y }) => y > current.y)?.id;
    case 'ArrowRight': {
      const joined = edges.filter((edge) => edge.from === from).map(({ to }) => to);
      return nearest(current, joined, steps)?.id ?? nearest(current, undefined, inLayer(current.layer + 1))?.id;
    }
    case 'ArrowLeft': {
      const joined = edges.filter((edge) => edge.to === from).map((edge) => edge.from);
      return nearest(current, joined, steps)?.id ?? nearest(current, undefined, inLayer(current.layer - 1))?.id;
    }
    default:
      return undefined;
  }
}

function nearest(
  { layer, y }: PlacedStep,
  ids: readonly string[] | undefined,
  steps: readonly PlacedStep[],
): PlacedStep | undefined {
  const candidates = ids ? steps.filter(({ id }) => ids.includes(id)) : steps;
  const distance = (step: PlacedStep) => Math.abs(step.layer - layer) * 1e6 + Math.abs(step.y - y);
  return candidates.toSorted((a, b) => distance(a) - distance(b))[0];
}
