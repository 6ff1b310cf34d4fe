import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Turnstile } from '../../shared/turnstile.ts';
import type { Middleware } from '../context.ts';
import { GatewayError } from '../errors.ts';
import { takeTurn } from '../take-turn.ts';
import { createBodyPieces } from './body-pieces.ts';
import { brokenBy, onBrokenBody } from './broken-body.ts';
import { requireMediaType } from './request-media-type.ts';

/** How long a body may come as slowly as it likes, in milliseconds. */
const GRACE_MS = 5_000;

interface LimitBodyParts {
  readonly limitBytes: number;
  /** From the sixth second on; 0: any rate. */
  readonly minBytesPerSecond: number;
  readonly turnstile: Turnstile;
}

/**
 * Reads the body, counting while it comes: a body over the limit is refused before it fills the memory, and one that comes
 * too slowly when its time is up: each byte buys it some (the way of Apache's mod_reqtimeout).
 */
export function createLimitBody({ limitBytes, minBytesPerSecond, turnstile }: LimitBodyParts): Middleware {
  const headers = { Connection: 'close' };
  const tooLarge = () =>
    new GatewayError('PAYLOAD_TOO_LARGE', `the body is larger than ${limitBytes} bytes`, { headers });
  const tooSlow = () =>
    new GatewayError('REQUEST_TIMEOUT', `the body came at less than ${minBytesPerSecond} bytes a second`, { headers });

  // By its events: to iterate costs a promise and more for each chunk, 4 % of a submission.
  function read(incoming: IncomingMessage): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const pieces = createBodyPieces();
      let timer: NodeJS.Timeout | undefined;
      const onData = (chunk: Buffer) => {
        if (pieces.size() + chunk.length <= limitBytes) pieces.add(chunk);
        else stop(tooLarge());
      };
      const onEnd = () => {
        leave();
        resolve(pieces.join());
      };
      const onGone = (cause?: Error) => {
        stop(new GatewayError('CLIENT_CLOSED_REQUEST', 'the body broke off', { cause }));
      };
      const leave = () => {
        clearTimeout(timer);
        offBroken();
        incoming.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      };
      // The connection stays: the answer still has to go over it.
      const stop = (error: GatewayError) => {
        leave();
        incoming.pause();
        reject(error);
      };
      let offBroken = () => {};
      // The client may have gone while its key was looked up: then nothing comes any more, not even an end.
      if (incoming.destroyed) return onGone(incoming.errored ?? undefined);
      incoming.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
      // What has come in one piece with its head needs nobody to watch it.
      if (incoming.complete) return;
      const broken = brokenBy(incoming);
      if (broken) return stop(broken);
      offBroken = onBrokenBody(incoming, stop);
      if (minBytesPerSecond > 0) timer = setTimeout(check, GRACE_MS, performance.now()).unref();

      function check(begunMs: number): void {
        const leftMs = GRACE_MS + (pieces.size() / minBytesPerSecond) * 1000 - (performance.now() - begunMs);
        if (leftMs <= 0) stop(tooSlow());
        else timer = setTimeout(check, Math.ceil(leftMs), begunMs).unref();
      }
    });
  }

  return async function limitBody(c) {
    const { incoming, outgoing, facts } = c.env;
    requireMediaType(incoming.headers);
    if (Number(incoming.headers['content-length'] ?? 0) > limitBytes) throw tooLarge();
    sendContinue(incoming, outgoing);
    facts.bodyBytes = await read(incoming);
    const turn = takeTurn(turnstile, facts.bodyBytes.length, facts.call.signal);
    if (turn) await turn;
  };
}

/** Says only now to a client that asks that its body may come (RFC 9110, section 10.1.1). */
function sendContinue(incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (incoming.headers.expect !== undefined && incoming.httpVersion === '1.1') outgoing.writeContinue();
}
