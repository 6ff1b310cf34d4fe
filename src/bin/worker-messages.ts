import type { GatewayConfig } from '../gateway/config.ts';
import type { Measured } from '../gateway/merged-metrics.ts';

/** What the first process tells a worker. */
export type ToWorker =
  /** The settings are read once, and are the same for every worker of one start, whatever becomes of files meanwhile. */
  | { readonly type: 'start'; readonly config: GatewayConfig }
  | { readonly type: 'drain' }
  | { readonly type: 'measure' }
  /** The metrics of all; without `text` they could not be had. */
  | { readonly type: 'scraped'; readonly text?: string };

/** What a worker tells the first process. */
export type ToPrimary =
  | { readonly type: 'ready'; readonly port: number }
  /** It ends with `exitCode`: for a reason that the operator can mend, or with the stack of a fault of ours. */
  | { readonly type: 'failed'; readonly message: string; readonly exitCode: number; readonly stack?: string }
  | { readonly type: 'measured'; readonly measured: Measured }
  | { readonly type: 'scrape' };
