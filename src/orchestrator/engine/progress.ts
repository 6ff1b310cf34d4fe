export interface ProgressWriter {
  /** Remembers how far the work has come, from 0 to 1; what goes back or comes too fast is left out. */
  readonly report: (fraction: number) => void;
  /** Ends writing; resolves when nothing is being written any more. */
  readonly stop: () => Promise<void>;
}

/**
 * Hands the newest fraction to `write`, one at a time and at most once in `intervalMs`. `write` must not throw.
 * `from` is how far the work had come before.
 */
export function createProgressWriter(
  write: (fraction: number) => Promise<void>,
  intervalMs: number,
  from: number,
): ProgressWriter {
  let newest = from;
  let written = from;
  let writing: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  function next(): void {
    timer = undefined;
    if (stopped || newest <= written) return;
    written = newest;
    timer = setTimeout(() => {
      timer = undefined;
      if (!writing) next();
    }, intervalMs);
    writing = write(written).finally(() => {
      writing = undefined;
      if (!timer) next();
    });
  }

  return {
    report(fraction) {
      if (!Number.isFinite(fraction) || fraction <= newest) return;
      newest = Math.min(fraction, 1);
      if (!timer && !writing) next();
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await writing;
    },
  };
}
