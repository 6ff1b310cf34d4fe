import { Code, ConnectError } from '@connectrpc/connect';
import type { Fields } from '../http2/header-blocks.ts';
import type { Target } from '../http2/stream-source.ts';
import { createEnvelopeReader, PREFIX_BYTES } from './envelopes.ts';
import { type CallParts, openCall } from './open-call.ts';
import { checkHeader, checkTrailer, isGrpc, verdictOn } from './status.ts';

export interface StreamingAnswer {
  readonly header: Fields;
  readonly messages: AsyncIterable<Buffer>;
  /** Empty until the last message has been read. */
  readonly trailer: () => Fields;
}

/**
 * One request, any number of answers of at most `maxBytes` each. Resolves with the header. While nobody reads, the window of
 * the stream holds the server back. Rejects, and breaks the messages off, with ConnectErrors. A call that may be made again
 * has answered with its first message: many servers send a header before they know whether there is one.
 */
export function callStreaming(parts: CallParts, maxBytes: number): Promise<StreamingAnswer> {
  return new Promise((resolve, reject) => {
    const envelopes = createEnvelopeReader(maxBytes);
    const arrived: Buffer[] = [];
    let header: Fields = [];
    let trailer: Fields = [];
    let outcome: { readonly error?: unknown } | undefined;
    let wake: (() => void) | undefined;
    /** What has come and is not yet given back to the server as window. */
    let untakenBytes = 0;
    let hasAnswered = false;
    let hasMessage = false;

    function settle(result: { readonly error?: unknown }, target: Target | undefined): void {
      const { error } = result as { error?: ConnectError };
      if (!hasMessage) target?.judge(error ? verdictOn(error) : 'good', call.askedAt());
      const again = error && target && !hasAnswered && parts.again?.(error, target, call.timeLeftMs());
      if (again) {
        callStreaming(again, maxBytes).then(resolve, reject);
        return;
      }
      outcome ??= result;
      wake?.();
      if (result.error) reject(result.error);
      else answer();
    }

    function answer(): void {
      if (hasAnswered) return;
      hasAnswered = true;
      resolve({ header, messages: read(), trailer: () => trailer });
    }

    const call = openCall(parts, {
      header(fields) {
        header = fields;
        // Whatever else it is, its end or its content tells.
        if (isGrpc(header) && !parts.again) answer();
      },
      data(bytes, target) {
        untakenBytes += bytes.length;
        try {
          checkHeader(header);
          answer();
          envelopes.read(bytes, (message) => {
            if (!hasMessage) target.judge('good', call.askedAt());
            hasMessage = true;
            arrived.push(message);
          });
        } catch (error) {
          call.fail(error as ConnectError);
        }
        wake?.();
      },
      end(fields, target) {
        trailer = fields ?? [];
        try {
          checkHeader(header);
          checkTrailer(header, fields);
          envelopes.end();
        } catch (error) {
          settle({ error }, target);
          return;
        }
        settle({}, target);
      },
      fail: (error, target) => settle({ error }, target),
    });

    function take(length: number): void {
      untakenBytes -= length;
      call.take(length);
    }

    async function* read(): AsyncGenerator<Buffer> {
      try {
        for (;;) {
          const message = arrived.shift();
          if (message) {
            take(Math.min(untakenBytes, PREFIX_BYTES + message.length));
            yield message;
          } else if (outcome) {
            if (outcome.error) throw outcome.error;
            return;
          } else {
            // Whoever waits wants the rest of a message that has begun.
            take(untakenBytes);
            await new Promise<void>((settled) => {
              wake = settled;
            });
          }
        }
      } finally {
        call.fail(new ConnectError('the reader has left', Code.Canceled));
      }
    }
  });
}
