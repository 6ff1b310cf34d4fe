/** How long to wait before the next look, in milliseconds: longer the longer it takes, as a look may cost a query. */
const SOONEST_LOOK_MS = 5;
const LATEST_LOOK_MS = 25;
/** Of the time waited so far. */
const LOOK_SHARE = 0.1;

/** Waits until `condition` holds, looking again after some milliseconds; fails with the label after the bound. */
export async function until(label: string, condition: () => unknown, boundMs = 5_000): Promise<void> {
  const begunMs = performance.now();
  while (!(await condition())) {
    const waitedMs = performance.now() - begunMs;
    if (waitedMs > boundMs) throw new Error(`waited ${boundMs} ms for: ${label}`);
    const pauseMs = Math.min(LATEST_LOOK_MS, Math.max(SOONEST_LOOK_MS, waitedMs * LOOK_SHARE));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** The promise's value; fails with the label after the bound. */
export async function within<T>(label: string, promise: Promise<T>, boundMs = 5_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${boundMs} ms for: ${label}`)), boundMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
