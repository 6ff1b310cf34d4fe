/** From which size on it takes so long to read or write a text that others should have a turn in between, in bytes. */
const LARGE_BYTES = 65_536;

export type Turnstile = ReturnType<typeof createTurnstile>;

/** Turns of the event loop between two of them: a connection is accepted in one, its request is read in another. */
const TURNS = 8;

/**
 * Has what takes long in one piece begin one after the other, with turns of the event loop between two of them: a hundred
 * large bodies that come at once must not hold up everything else for all their time together.
 */
export function createTurnstile() {
  const waiting: (() => void)[] = [];

  function turn(turnsLeft: number): void {
    if (turnsLeft > 0) return void setImmediate(turn, turnsLeft - 1);
    waiting[0]!();
    waiting.shift();
    if (waiting.length > 0) turn(TURNS);
  }

  return {
    /** Settles when it is the turn of what is done with so many bytes; undefined: they are few enough to begin at once. */
    wait(sizeBytes: number): Promise<void> | undefined {
      if (sizeBytes < LARGE_BYTES) return undefined;
      return new Promise((resolve) => {
        if (waiting.push(resolve) === 1) turn(TURNS);
      });
    },
  };
}
