/**
 * Calls `act` at an even pace, whether the last one is done or not, and catches up when it comes late. The answered function
 * ends it and says how late each call was, in milliseconds.
 */
export function startPace(perSecond: number, act: () => void): () => number[] {
  const everyMs = 1_000 / perSecond;
  const lateMs: number[] = [];
  let dueAt = performance.now() + everyMs;
  const timer = setInterval(() => {
    for (const now = performance.now(); dueAt <= now; dueAt += everyMs) {
      lateMs.push(now - dueAt);
      act();
    }
  }, everyMs / 4);
  return () => {
    clearInterval(timer);
    return lateMs;
  };
}
