import type { Sample } from './samples.ts';

export const UPSTREAMS = ['orchestrator', 'database', 'store'] as const;
export type Upstream = (typeof UPSTREAMS)[number];

/** A time in which upstreams were sick, by performance.now(). */
export interface Outage {
  readonly name: string;
  readonly sick: readonly Upstream[];
  readonly fromMs: number;
  /** When they were well again. */
  untilMs: number;
}

/** How long after that nobody expects more than an honest refusal. */
export const RECOVERY_MS = 2_000;

/** 503 with one of these words may be said while something behind the gateway is sick. */
const UNAVAILABLE: readonly (string | undefined)[] = ['UNAVAILABLE', 'OVERLOADED'];
const STORE_WORDS: readonly (string | undefined)[] = ['STORE_UNAVAILABLE', 'STORE_ERROR'];

/** What was sick while a request was under way, the time of recovery included. */
export function sickDuring(
  { beganMs, endedMs }: Pick<Sample, 'beganMs' | 'endedMs'>,
  outages: readonly Outage[],
): Set<Upstream> {
  const under = outages.filter(({ fromMs, untilMs }) => endedMs >= fromMs && beganMs <= untilMs + RECOVERY_MS);
  return new Set(under.flatMap(({ sick }) => sick));
}

/**
 * Whether somebody was refused for want of room, which on a machine with other things to do says nothing of the gateway. A
 * watcher does not read why.
 */
export function isRefusedForRoom({ kind, status, code }: Sample): boolean {
  return status === 429 || (status === 503 && (code === 'OVERLOADED' || kind === 'watch'));
}

/** Why an answer is wrong, given what was sick at the time; undefined when it is right. */
export function whyWrong(sample: Sample, sick: ReadonlySet<Upstream>): string | undefined {
  const { kind, status, code, broken, wrong } = sample;
  const told = `${kind}: ${status}${code ? ` ${code}` : ''}${broken ? ` (${broken})` : ''}`;
  if (wrong) return `${told}: ${wrong}`;
  if (broken) {
    // A file that cannot be finished is cut off, so that nobody takes it for whole.
    const isFile = kind === 'download' && broken === 'broken off' && status < 300;
    return isFile && sick.has('store') ? undefined : told;
  }
  if (status >= 200 && status < 300) return undefined;
  const isApiSick = sick.has('orchestrator') || sick.has('database');
  switch (kind) {
    case 'healthz':
    case 'metrics':
      return told;
    case 'readyz':
      return status === 503 && isApiSick ? undefined : told;
    case 'download':
      if (sick.has('store') && status === 502 && STORE_WORDS.includes(code)) return undefined;
      return (isApiSick || sick.has('store')) && isHonest(status, code) ? undefined : told;
    case 'repeat':
      // The first one may still be under way.
      if (status === 409 && code === 'IDEMPOTENCY_KEY_IN_FLIGHT') return undefined;
      return isApiSick && isHonest(status, code) ? undefined : told;
    default:
      return isApiSick && isHonest(status, code) ? undefined : told;
  }
}

/** 429: what waits for somebody who is sick fills the gateway, so that each caller gets no more than its share of it. */
function isHonest(status: number, code: string | undefined): boolean {
  if (status === 503) return UNAVAILABLE.includes(code);
  return (status === 504 && code === 'DEADLINE_EXCEEDED') || (status === 429 && code === 'TOO_MANY_REQUESTS');
}
