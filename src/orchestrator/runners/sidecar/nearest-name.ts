const MAX_EDITS = 2;
const MAX_CHARACTERS = 40;

/** The name that was probably meant: the same without regard to case and "_", or at most two typing errors off. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > MAX_CHARACTERS) return undefined;
  const squeezed = squeeze(name);
  const distances = known.map((other) => ({ other, edits: countEdits(squeezed, squeeze(other)) }));
  const [nearest] = distances.sort((a, b) => a.edits - b.edits);
  // Of a short name two edits leave nothing.
  const bound = Math.min(MAX_EDITS, Math.floor(squeezed.length / 3));
  return nearest && nearest.edits <= bound ? nearest.other : undefined;
}

function squeeze(name: string): string {
  return name.replaceAll('_', '').toLowerCase();
}

/** Levenshtein's distance. */
function countEdits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
