/** By how much a pause may be shorter or longer, so that processes that started together do not ask together. */
const JITTER = 0.2;

export interface Probe {
  /** Throws what is wrong. */
  readonly ask: (signal: AbortSignal) => Promise<void>;
  /** After how many periods it is asked again while all is well: what a question costs. */
  readonly restPeriods: () => number;
}

interface WatchParts {
  readonly probe: Probe;
  readonly periodMs: number;
  /** Failures in a row that make it down. */
  readonly threshold: number;
  /** It has turned, or is known for the first time; `fault` is what the last question threw. */
  readonly onChange: (isUp: boolean, fault?: unknown) => void;
}

export type DependencyWatch = ReturnType<typeof createWatch>;

/**
 * Asks a dependency again and again, one question at a time, and keeps what it knows: down until the first good answer, and
 * from then on only after some failures in a row, for a blip should not take all replicas out at once. One good answer is
 * enough to be up again: who waits for two keeps capacity out that is there. The first question is asked within a period of
 * the start, or when somebody wants to know.
 */
export function createWatch({ probe, periodMs, threshold, onChange }: WatchParts) {
  const closing = new AbortController();
  let isUp: boolean | undefined;
  let failures = 0;
  let first: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  function turn(next: boolean, fault?: unknown): void {
    isUp = next;
    onChange(next, fault);
  }

  function judge(fault: { readonly thrown: unknown } | undefined): void {
    failures = fault ? failures + 1 : 0;
    if (!fault && !isUp) turn(true);
    if (fault && (isUp === undefined || (isUp && failures >= threshold))) turn(false, fault.thrown);
  }

  async function look(): Promise<void> {
    const fault = await probe.ask(closing.signal).then(
      () => undefined,
      (thrown: unknown) => ({ thrown }),
    );
    if (closing.signal.aborted) return;
    judge(fault);
    const pauseMs = periodMs * (fault ? 1 : probe.restPeriods());
    timer = setTimeout(look, pauseMs * (1 + JITTER * (2 * Math.random() - 1))).unref();
  }

  function begin(): Promise<void> {
    if (!first) clearTimeout(timer);
    first ??= look();
    return first;
  }

  return {
    /** At once, but for the first answer, which everybody who asks before it waits for. */
    async isUp(): Promise<boolean> {
      if (isUp === undefined) await begin();
      return isUp === true;
    },

    start(): void {
      if (!first) timer = setTimeout(begin, periodMs * Math.random()).unref();
    },

    close(): void {
      clearTimeout(timer);
      closing.abort();
    },
  };
}
