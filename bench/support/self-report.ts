import { answerMessages } from './answer-messages.ts';

// Loaded before a program under test (--expose-gc --import), so that it can be asked for what /proc tells only roughly,
// and so that its memory can be read without its garbage. How much of that there is, is a matter of when it was last
// collected, and no two runs agree on it.

export type SelfReportMessage = { readonly settle: true } | { readonly cpu: true };

export interface SelfReportAnswer {
  /** User and system time of all threads so far, in milliseconds. */
  readonly cpuMs: number;
}

answerMessages<SelfReportMessage>(async (message): Promise<SelfReportAnswer> => {
  if ('settle' in message) {
    // What the first collection finalizes, the second one frees.
    for (let pass = 0; pass < 2; pass++) gc!({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1000 };
});
