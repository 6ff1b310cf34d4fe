import { type Evidence, listAcceptances, type Promised } from './evidence.ts';
import { byOrder, isFresh } from './history.ts';

/** Answers that the base contract does not know: it neither compares bodies nor says that an answer is repeated. */
const BEYOND_BASE = ['replayed', '409', '422'];

/** How often clients saw what, and what came of it. */
export function countOutcomes(evidence: Evidence): Record<string, number> {
  const { history, snapshot } = evidence;
  const statuses = ['400', '401', '402', '409', '422', '429', '503', '504'].map((status) => {
    return [status, history.filter(({ answer }) => String(answer?.status) === status).length] as const;
  });
  const orders = byOrder(history);
  const isAnswered = (order: string) => orders.get(order)?.some(isFresh);
  return {
    attempts: history.length,
    workflows: snapshot.workflows.length,
    accepted: history.filter(isFresh).length,
    replayed: history.filter(({ answer }) => answer?.replayed).length,
    ...Object.fromEntries(statuses),
    'no answer': history.filter(({ lost }) => lost !== undefined).length,
    'accepted without an answer': snapshot.workflows.filter(({ order }) => !isAnswered(order ?? '')).length,
    'of two keys': listAcceptances(evidence).filter(({ callers }) => callers.size > 1).length,
    refunded: snapshot.ledger.filter(({ reason }) => reason.startsWith('refund:')).length,
  };
}

/** What a run must have shown, and has not. */
export function listMissing(counts: Readonly<Record<string, number>>, promise: Promised): string[] {
  // A gateway soon knows what has happened, and who has sent something through two keys mostly knows which it was.
  const optional = ['504', 'of two keys', ...(promise === 'base' ? BEYOND_BASE : [])];
  return Object.keys(counts).filter((name) => counts[name] === 0 && !optional.includes(name));
}
