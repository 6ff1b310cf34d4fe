import { answerMessages } from './answer-messages.ts';

// Loaded before a program under test (--expose-gc --import), so that its memory can be read without its garbage. How
// much of that there is, is a matter of when it was last collected, and no two runs agree on it.

answerMessages(async () => {
  // What the first collection finalizes, the second one frees.
  for (let pass = 0; pass < 2; pass++) gc!({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  return {};
});
