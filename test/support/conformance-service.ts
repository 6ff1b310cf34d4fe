import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';

/** What a call asks of the conformance servers: the query string in the first field of its request. */
export interface Ask {
  /** The name under which the servers count the call. */
  readonly key?: string;
  /** Waits so long before the first message. */
  readonly delay?: number;
  /** Messages on a stream. A unary call has one. */
  readonly count?: number;
  /** What each message holds, and how many letters more. */
  readonly text?: string;
  readonly size?: number;
  /** After the messages: the status, which is OK when there is none, or nothing until the call is cancelled. */
  readonly code?: Code;
  readonly message?: string;
  readonly reason?: string;
  readonly hang?: boolean;
  /** Sends header and trailer fields, and tells in the labels which ones it got. */
  readonly metadata?: boolean;
  /** Tells in the labels what was counted under this key. */
  readonly stats?: string;
}

/** What every server sends when it is asked for metadata. */
export const SENT_HEADER = { text: 'at the head', bytes: Buffer.from([0x00, 0xff, 0x7f]) };
export const SENT_TRAILER = { text: 'at the tail', bytes: Buffer.from([0x01, 0xfe]) };

export function writeAsk(ask: Ask): string {
  const fields = Object.entries(ask).map(([name, value]) => [name, value === true ? '1' : String(value)] as const);
  return new URLSearchParams(Object.fromEntries(fields)).toString();
}

function readAsk(text: string): Ask {
  const { delay: delayMs, count, size, code, hang, metadata, ...texts } = Object.fromEntries(new URLSearchParams(text));
  const numbers = { delay: Number(delayMs ?? 0), count: Number(count ?? 0), size: Number(size ?? 0) };
  const flags = { hang: hang !== undefined, metadata: metadata !== undefined };
  return { ...texts, ...numbers, ...flags, ...(code !== undefined && { code: Number(code) }) };
}

/** What a server knows of a call besides its request. */
export interface CallFacts {
  readonly signal: AbortSignal;
  readonly peer: string;
  readonly timeLeftMs: number | undefined;
  /** Fields whose names end in -bin, as base64. */
  readonly metadata: Iterable<readonly [name: string, value: string]>;
}

interface Tally {
  began: number;
  open: number;
  cancelled: number;
  sent: number;
}

/** The service that the JavaScript servers share; grpc-go-server/main.go is the same again. */
export function createConformanceService() {
  const tallies = new Map<string, Tally>();

  function tallyOf(key: string): Tally {
    const tally = tallies.get(key) ?? { began: 0, open: 0, cancelled: 0, sent: 0 };
    tallies.set(key, tally);
    return tally;
  }

  /** Yields the messages of the answer, as their numbers from 1; throws the ConnectError that the call ends with. */
  async function* perform(ask: Ask, count: number, { signal }: CallFacts): AsyncGenerator<number, void> {
    const tally = tallyOf(ask.key ?? '');
    tally.began++;
    tally.open++;
    try {
      if (ask.delay) await delay(ask.delay, undefined, { signal });
      for (let number = 1; number <= count; number++) {
        signal.throwIfAborted();
        yield number;
        tally.sent++;
      }
      if (ask.hang && !signal.aborted) await once(signal, 'abort');
      const failure = failureOf(ask);
      if (failure) throw failure;
    } finally {
      tally.open--;
      if (signal.aborted) tally.cancelled++;
    }
  }

  function labelsFor(ask: Ask, { peer, timeLeftMs, metadata }: CallFacts): Record<string, string> {
    if (!ask.metadata && ask.stats === undefined) return {};
    const labels: Record<string, string> = { peer };
    const counted = ask.stats === undefined ? {} : tallyOf(ask.stats);
    for (const [name, value] of Object.entries(counted)) labels[name] = String(value);
    if (!ask.metadata) return labels;
    if (timeLeftMs !== undefined) labels['time-left-ms'] = String(Math.floor(timeLeftMs));
    for (const [name, value] of metadata) if (/^x-|-bin$/.test(name)) labels[name] = value;
    return labels;
  }

  return {
    /** The answer to a unary call: the text, and the labels. Rejects with the ConnectError that the call ends with. */
    async unary(asked: string, facts: CallFacts): Promise<{ id: string; labels: Record<string, string> }> {
      const ask = readAsk(asked);
      const answer = { id: textOf(ask), labels: labelsFor(ask, facts) };
      for await (const _number of perform(ask, ask.code === undefined ? 1 : 0, facts));
      return answer;
    },

    async *stream(asked: string, facts: CallFacts): AsyncGenerator<{ workflowId: string; eventId: bigint }, void> {
      const ask = readAsk(asked);
      const workflowId = textOf(ask);
      for await (const number of perform(ask, ask.count ?? 0, facts)) yield { workflowId, eventId: BigInt(number) };
    },

    wantsMetadata: (asked: string) => readAsk(asked).metadata === true,
  };
}

export type ConformanceService = ReturnType<typeof createConformanceService>;

function textOf({ text = '', size = 0 }: Ask): string {
  return text + 'x'.repeat(size);
}

function failureOf({ code, message = '', reason }: Ask): ConnectError | undefined {
  if (!code) return undefined;
  const details = reason ? [{ desc: ErrorInfoSchema, value: { reason, domain: 'foldforge' } }] : [];
  return new ConnectError(message, code, undefined, details);
}
