/** Streams whose late frames are told from a broken peer's one by one; of older ones nothing is held against anybody. */
const REMEMBERED = 1_000;

export interface ResetStreamsParts {
  /** Has the server acknowledge all that it has read so far. */
  readonly askForAck: () => void;
  readonly onRoom: () => void;
}

/**
 * The streams that we have reset: what the server sent on them before it heard of that is ignored, and while it may still count
 * them against its limit, their places are not free.
 */
export function createResetStreams({ askForAck, onRoom }: ResetStreamsParts) {
  const ids = new Set<number>();
  let lastForgotten = 0;
  let lingering = 0;
  /** Of those, how many came before each SETTINGS that the server has yet to acknowledge; the first is the connection's own. */
  const unacknowledged = [0];

  function ask(): void {
    unacknowledged.push(lingering);
    askForAck();
  }

  return {
    add(id: number): void {
      ids.add(id);
      if (ids.size <= REMEMBERED) return;
      const oldest = ids.values().next().value!;
      ids.delete(oldest);
      lastForgotten = Math.max(lastForgotten, oldest);
    },

    /** Whether a frame on this stream, which is over, may be a late one. */
    explains: (id: number): boolean => id <= lastForgotten || ids.has(id),

    /** How many places are not free. */
    lingering: (): number => lingering,

    /** The place of one more is free only when the server has read of its reset. */
    linger(): void {
      lingering++;
      if (unacknowledged.length === 0) ask();
    },

    onAck(): void {
      lingering -= unacknowledged.shift() ?? 0;
      if (lingering > 0 && unacknowledged.length === 0) ask();
      onRoom();
    },
  };
}
