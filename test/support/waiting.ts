/** Waits until `condition` holds, looking again every few milliseconds; fails with the label after the bound. */
export async function until(label: string, condition: () => unknown, boundMs = 5_000): Promise<void> {
  const deadline = performance.now() + boundMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${boundMs} ms for: ${label}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
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
