import type { Answer } from './backend-answers.ts';

/** How often it is looked who is done, in milliseconds. */
const TICK_MS = 1;
/** By how much the time of one differs from that of others. */
const SPREAD = 0.2;

interface Waiting {
  readonly answer: Answer;
  readonly reply: (answer: Answer) => void;
  readonly isDropped: () => boolean;
}

/** Makes answers come as from a server that works on `slots` calls at once, each for about `serviceMs`; first come, first served. */
export function createWorkLine({ slots, serviceMs }: { slots: number; serviceMs: number }): (answer: Answer) => Answer {
  const line: Waiting[] = [];
  const busy = new Set<{ readonly one: Waiting; readonly doneAt: number }>();

  function look(): void {
    const now = performance.now();
    for (const each of busy) {
      if (each.doneAt > now) continue;
      busy.delete(each);
      each.one.reply(each.one.answer);
    }
    while (busy.size < slots && line.length > 0) {
      const one = line.shift()!;
      if (one.isDropped()) continue;
      const factor = 1 + SPREAD * (2 * Math.random() - 1);
      busy.add({ one, doneAt: now + serviceMs * factor });
    }
  }
  setInterval(look, TICK_MS);

  return (answer) => ({
    later(reply, isDropped) {
      line.push({ answer, reply, isDropped });
      if (busy.size < slots) look();
    },
  });
}
