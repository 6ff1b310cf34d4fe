import { Code, type ConnectError } from '@connectrpc/connect';
import type { Target } from '../http2/stream-source.ts';
import { type CallParts, openCall } from './open-call.ts';
import { verdictOn } from './status.ts';
import { createUnaryAnswer, type UnaryAnswer } from './unary-answer.ts';

/** One request, one answer of at most `maxBytes`. Rejects with ConnectErrors. */
export function callUnary(parts: CallParts, maxBytes: number): Promise<UnaryAnswer> {
  return new Promise((resolve, reject) => {
    const answer = createUnaryAnswer(maxBytes);

    const fail = (error: ConnectError, target: Target | undefined) => {
      target?.judge(verdictOn(error), call.askedAt());
      const again = target && parts.again?.(error, target, call.timeLeftMs());
      if (again) callUnary(again, maxBytes).then(resolve, (second) => reject(worse(error, second)));
      else reject(error);
    };

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
      end(trailer, target) {
        let whole: UnaryAnswer;
        try {
          whole = answer.end(trailer);
        } catch (error) {
          fail(error as ConnectError, target);
          return;
        }
        target.judge('good', call.askedAt());
        resolve(whole);
      },
      fail,
    });
  });
}

// ABORTED says of a call with an idempotency key that the first one is still under way, which is our own.
function worse(first: ConnectError, second: ConnectError): ConnectError {
  return second.code === Code.Aborted ? first : second;
}
