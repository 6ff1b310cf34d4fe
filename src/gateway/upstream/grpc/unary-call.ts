import type { ConnectError } from '@connectrpc/connect';
import { type CallParts, openCall } from './open-call.ts';
import { createUnaryAnswer, type UnaryAnswer } from './unary-answer.ts';

/** One request, one answer of at most `maxBytes`. Rejects with ConnectErrors. */
export function callUnary(parts: CallParts, maxBytes: number): Promise<UnaryAnswer> {
  return new Promise((resolve, reject) => {
    const answer = createUnaryAnswer(maxBytes);
    const call = openCall(parts, {
      header: answer.header,
      data(bytes) {
        call.take(bytes.length);
        try {
          answer.data(bytes);
        } catch (error) {
          call.fail(error as ConnectError);
        }
      },
      end(trailer) {
        try {
          resolve(answer.end(trailer));
        } catch (error) {
          reject(error);
        }
      },
      fail: reject,
    });
  });
}
