import type { Reply } from './client.ts';

export const KINDS = [
  'healthz',
  'readyz',
  'metrics',
  'get',
  'list',
  'submit',
  'repeat',
  'delete',
  'poll',
  'download',
  'watch',
] as const;
/** What is asked; `repeat` is a submission that is made once more with its key. */
export type Kind = (typeof KINDS)[number];

/** One request, and what came of it; times by performance.now(). */
export interface Sample {
  readonly kind: Kind;
  readonly beganMs: number;
  readonly endedMs: number;
  readonly status: number;
  readonly code: string | undefined;
  readonly broken: Reply['broken'];
  /** What a good status does not excuse. */
  readonly wrong: string | undefined;
}

export type Samples = ReturnType<typeof createSamples>;

/** Everything that was asked. */
export function createSamples() {
  const all: Sample[] = [];
  return {
    all: all as readonly Sample[],
    add(sample: Sample): void {
      all.push(sample);
    },
    /** Adds an answer; `wrong` looks into one with a good status. Answers with whether it is a good one. */
    judge(kind: Kind, reply: Reply, wrong: (reply: Reply) => string | undefined = () => undefined): boolean {
      const { beganMs, endedMs, status, code, broken } = reply;
      const isGood = status >= 200 && status < 300 && !broken;
      const fault = isGood ? wrong(reply) : undefined;
      all.push({ kind, beganMs, endedMs, status, code, broken, wrong: fault });
      return isGood && fault === undefined;
    },
  };
}
