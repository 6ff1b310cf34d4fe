import type { Seeded } from '../seeded.ts';

/** What a submission asks for. */
export interface Body {
  /** Tells it from the other bodies that are sent under the same idempotency key. */
  readonly name: string;
  readonly steps: number;
  /** `at once`: its first step fails, so that none has succeeded. `later`: its last one does. */
  readonly fails: 'not' | 'at once' | 'later';
  /** Why it must be refused: by the gateway, or by the orchestrator. */
  readonly flaw: 'unknown field' | 'cycle' | undefined;
}

export function planBody(name: string, seeded: Seeded): Body {
  const steps = seeded.whole(1, 3);
  const fails = seeded.pick(['not', 'not', 'at once', steps > 1 ? 'later' : 'not'] as const);
  // Bodies of one name are one body only if all of them is the same.
  return { name: `${name}-${steps}-${fails.replace(' ', '-')}`, steps, fails, flaw: undefined };
}

export function planFlawedBody(seeded: Seeded): Body {
  const flaw = seeded.pick(['unknown field', 'cycle'] as const);
  return { name: flaw.replace(' ', '-'), steps: 2, fails: 'not', flaw };
}

/**
 * The JSON of a body, whose labels say what it was sent for. `spelling` 0 to 2 are three ways to write the same: as it
 * comes, with the members in reverse, and with spaces.
 */
export function writeBody({ name, steps, fails, flaw }: Body, order: string, spelling: number): string {
  const specs = Array.from({ length: steps }, (_, index) => {
    const isFaulty = (fails === 'at once' && index === 0) || (fails === 'later' && index === steps - 1);
    return {
      id: `s${index}`,
      tool: 'rfdiffusion',
      // A chain; the first step of a cycle needs the last one.
      depends_on: index > 0 ? [`s${index - 1}`] : flaw === 'cycle' ? [`s${steps - 1}`] : [],
      params: { contigs: '5', num_designs: 1, mock: { fail: isFaulty } },
    };
  });
  const spec = {
    name: 'chaos',
    labels: { order, body: name },
    steps: specs,
    ...(flaw === 'unknown field' && { x: 1 }),
  };
  return JSON.stringify(spelling === 1 ? reverseMembers(spec) : spec, null, spelling === 2 ? 2 : 0);
}

function reverseMembers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reverseMembers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, reverseMembers(member)]),
  );
}
