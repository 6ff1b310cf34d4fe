const PIECES = ['fold ', 'β-sheet ', 'λ=0.5 ', '蛋白质 ', '🧬 ', '"quoted"\n', '\\ ', 'residue '];

/**
 * The text that event `id` carries: its own number first, so that no other event's can stand in for it, then a length
 * and characters of one to four bytes that follow from it. Every 97th is large enough for several frames and chunks.
 */
export function sampleText(id: number): string {
  const count = id % 97 === 0 ? 5_000 : (id * 7) % 40;
  return `${id}: ${Array.from({ length: count }, (_, index) => PIECES[(id + index * index) % PIECES.length]).join('')}`;
}
