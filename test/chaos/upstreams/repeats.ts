export type Repeats = ReturnType<typeof watchRepeats>;

/** So many calls are remembered: a client's request is over long before there are as many after it. */
const FORGET_AFTER = 50_000;

/**
 * Reads the log of an orchestrator for the calls that it was asked. Every request of a client has an id of its own, so that
 * one method twice under one id is a call that the gateway has made again. Streams are made again by design, and the look
 * at the workflow that goes before, which is counted by itself; long polls ask more than once anyway.
 */
export function watchRepeats() {
  const seen = new Map<string, number>();
  let calls = 0;
  let repeated = 0;
  let reopened = 0;

  function count(method: string, requestId: string): void {
    calls++;
    const key = `${method} ${requestId}`;
    const before = seen.get(key) ?? 0;
    seen.set(key, before + 1);
    if (before > 0) {
      if (requestId.startsWith('watch-')) reopened++;
      else if (!requestId.startsWith('poll-')) repeated++;
    }
    if (seen.size > FORGET_AFTER) for (const old of [...seen.keys()].slice(0, FORGET_AFTER / 2)) seen.delete(old);
  }

  return {
    read(line: string): void {
      const method = /"method":"(\w+)"/.exec(line)?.[1];
      const requestId = /"request_id":"([^"]+)"/.exec(line)?.[1];
      if (method && /"msg":"call( failed| refused)?"/.test(line)) {
        if (requestId) count(method, requestId);
        else calls++;
      }
    },
    /** `calls`: all that were answered. `repeated`: those made again for one request. `reopened`: for event streams. */
    counts: () => ({ calls, repeated, reopened }),
  };
}
