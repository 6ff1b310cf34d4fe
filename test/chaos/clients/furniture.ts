/** What the orchestrator and the store hold for a run. */
export interface Furniture {
  /** The key of the honest client, and keys that nobody has shown yet. */
  readonly honestKey: string;
  readonly newcomerKeys: readonly string[];
  /** A good key in bad hands. */
  readonly attackerKey: string;
  readonly honest: {
    /** Is over, with so many events, and a file. */
    readonly finished: { readonly id: string; readonly events: number };
    readonly file: { readonly path: string; readonly sha256: string };
    /** Has an event several times a second. */
    readonly liveId: string;
  };
  readonly attacker: {
    readonly smallId: string;
    /** The largest that there is to read. */
    readonly largeId: string;
    /** Has thousands of events, and goes on. */
    readonly eventfulId: string;
    readonly filePath: string;
  };
}
