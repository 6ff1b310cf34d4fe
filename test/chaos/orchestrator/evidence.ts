import type { Snapshot } from '../accounts/snapshot.ts';
import type { Handover } from './handovers.ts';
import type { Plan } from './plan.ts';
import type { Story } from './story.ts';
import type { Ending } from './supervised.ts';

/** An event as the database holds it. */
export interface StoredEvent {
  readonly id: number;
  /** Undefined: the whole workflow's. */
  readonly step: string | undefined;
  readonly state: string;
  /** 0 to 1; of a step. */
  readonly fraction: number;
  /** The states of all steps that the event tells, if it is the workflow's. */
  readonly steps: ReadonlyMap<string, string>;
}

/** A step's row. */
export interface StoredStep {
  readonly id: string;
  readonly state: string;
  readonly files: readonly StoredFile[];
}

export interface StoredFile {
  readonly uri: string;
  readonly sizeBytes: number;
}

/** Everything that the database holds of one workflow. */
export interface StoredHistory {
  readonly id: string;
  readonly order: string;
  readonly state: string;
  readonly lastEventId: number;
  readonly events: readonly StoredEvent[];
  readonly steps: readonly StoredStep[];
}

/** When Postgres was away, in milliseconds. */
export interface Outage {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** All that is known of a run when it is over. */
export interface Evidence {
  readonly plan: Plan;
  /** SHA-256 by caller, in lower-case hex. */
  readonly keyHashes: readonly string[];
  readonly stories: readonly Story[];
  readonly histories: readonly StoredHistory[];
  /** Keys, balances and the ledger. */
  readonly accounts: Snapshot;
  /** Entries of the engine's queue that are not finished. */
  readonly queue: readonly { readonly id: string; readonly status: string }[];
  /** The size in bytes of every file that the object store has, by uri. */
  readonly objects: ReadonlyMap<string, number>;
  readonly handovers: readonly Handover[];
  readonly outages: readonly Outage[];
  readonly endings: readonly Ending[];
  /** When it was over. */
  readonly endMs: number;
}
