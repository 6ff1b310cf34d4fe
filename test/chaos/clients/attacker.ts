import type { Socket } from 'node:net';
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerMessages } from '../../../bench/support/answer-messages.ts';
import { createSeeded } from '../seeded.ts';
import { ATTACKS } from './attacks.ts';
import type { Furniture } from './furniture.ts';
import { createTally, type Tally } from './tally.ts';

// The one who attacks, in a process of its own. It yields to all others on its core: it must not slow down those who
// measure, nor the orchestrator, which in truth are on other machines.

export type AttackerMessage =
  | {
      readonly attack: {
        readonly name: string;
        readonly port: number;
        readonly seed: number;
        readonly furniture: Furniture;
      };
    }
  /** Says what came of it so far. */
  | { readonly look: true }
  /** Leaves everything, and says what came of it. */
  | { readonly leave: true };

const NICE = 10;
const LEAVING_AT_ONCE = 50;
const LEAVE_EVERY_MS = 10;

const over = new AbortController();
const tally = createTally();
const sockets = new Set<Socket>();

/** Thousands of ends in one instant would be an attack of its own, which no event loop gets over within milliseconds. */
async function leaveAll(): Promise<void> {
  let leaving = 0;
  for (const socket of sockets) {
    socket.destroy();
    if (++leaving % LEAVING_AT_ONCE === 0) await sleep(LEAVE_EVERY_MS);
  }
}

answerMessages<AttackerMessage>(async (message): Promise<Tally | object> => {
  if (!('attack' in message)) {
    tally.held = [...sockets].filter((socket) => !socket.connecting).length;
    if ('look' in message) return tally;
    over.abort();
    await leaveAll();
    return tally;
  }
  os.setPriority(NICE);
  const { name, port, seed, furniture } = message.attack;
  const { begin, addresses } = ATTACKS[name]!;
  let turn = 0;
  // 127.0.0.0/8 is all this machine. The witness comes from another part of it.
  const nextAddress = () => `127.0.2.${(turn++ % addresses) + 1}`;
  begin({ port, nextAddress, seeded: createSeeded(seed), furniture, tally, sockets, over: over.signal });
  return {};
});
