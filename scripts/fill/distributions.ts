import type { Random } from '../../src/orchestrator/runners/mock/random.ts';
import type { State } from '../../src/orchestrator/store/workflows.ts';

export type Labels = Readonly<Record<string, string>>;

const OWNERS = 1_000;
const RARE_COUNT = 10;
const RUNNING_COUNT = 25;

/** Labels to look for, by how many workflows have them. */
export const KNOWN_LABELS = {
  /** Ten of them, from the oldest to the newest, all of one owner. */
  rare: { campaign: 'rare' },
  tenth: { project: 'tenth' },
  /** The oldest ones: whoever walks from the newest finds none for long. */
  oldestTenth: { generation: 'first' },
  all: { site: 'main' },
} as const satisfies Readonly<Record<string, Labels>>;

export function labelsAt(index: number, total: number, random: Random): Labels {
  const labels: Record<string, string> = { ...KNOWN_LABELS.all, batch: `batch-${Math.floor(index / 100)}` };
  if (isRare(index, total)) Object.assign(labels, KNOWN_LABELS.rare);
  if (random.fraction() < 0.1) Object.assign(labels, KNOWN_LABELS.tenth);
  if (index < total / 10) Object.assign(labels, KNOWN_LABELS.oldestTenth);
  return labels;
}

function isRare(index: number, total: number): boolean {
  return index % Math.ceil(total / RARE_COUNT) === 0;
}

/** The principal with so many others before it, who has the more workflows the fewer those are. */
export function principalAt(place: number): string {
  return `principal-${place}`;
}

/** After Zipf: the n-th has the n-th part of what the first has. One in twenty belongs to nobody. */
export function ownerAt(index: number, total: number, random: Random): string | null {
  if (isRare(index, total)) return principalAt(0);
  if (random.fraction() < 0.05) return null;
  // Between 1 and n there is ln(n) of the area under 1/x.
  return principalAt(Math.floor((OWNERS + 1) ** random.fraction()) - 1);
}

/** The newest three in a hundred are not over; few of them run, and those are behind all that wait. */
export function stateAt(index: number, total: number): State {
  const live = Math.ceil(total * 0.03);
  const newer = total - 1 - index;
  if (newer < live) return newer < live - RUNNING_COUNT ? 'QUEUED' : 'RUNNING';
  if (index % 25 === 3) return 'FAILED';
  return index % 100 === 7 ? 'CANCELLED' : 'SUCCEEDED';
}
