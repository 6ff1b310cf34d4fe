import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { verdictOn } from '../../../src/gateway/upstream/grpc/status.ts';
import { ERROR_CODES, StreamError } from '../../../src/gateway/upstream/http2/errors.ts';
import type { Verdict } from '../../../src/gateway/upstream/http2/standing.ts';

/** As the server has said it, in its trailer. */
const said = (code: Code) => new ConnectError('', code, { 'grpc-status': String(code) });
/** A stream that was reset with this code, or whose connection broke. */
const lost = (code: Code, reset?: number) =>
  new ConnectError('', code, undefined, undefined, new StreamError('', reset === undefined ? {} : { code: reset }));

describe('what an error tells of the server', () => {
  const verdicts: readonly (readonly [what: string, error: ConnectError, verdict: Verdict])[] = [
    ['our deadline', new ConnectError('', Code.DeadlineExceeded), 'late'],
    // A caller decides how much time there was: with hardly any, the server is not to blame (see the judge of an address).
    ['a deadline that the server noticed', said(Code.DeadlineExceeded), 'late'],
    ['UNAVAILABLE', said(Code.Unavailable), 'bad'],
    ['a status of HTTP in its place, such as 503', new ConnectError('', Code.Unavailable), 'bad'],
    ['a connection that broke', lost(Code.Unavailable), 'unknown'],
    ['a stream that was reset as broken inside', lost(Code.Internal, ERROR_CODES.INTERNAL_ERROR), 'bad'],
    ['a stream that was refused', lost(Code.Unavailable, ERROR_CODES.REFUSED_STREAM), 'refused'],
    ['a stream that was reset for what we sent', lost(Code.Internal, ERROR_CODES.PROTOCOL_ERROR), 'unknown'],
    ['a caller who left', new ConnectError('', Code.Canceled), 'unknown'],
    ['no such workflow', said(Code.NotFound), 'good'],
    ['too much to do', said(Code.ResourceExhausted), 'good'],
  ];
  for (const [what, error, verdict] of verdicts) {
    it(`is ${verdict}: ${what}`, () => assert.equal(verdictOn(error), verdict));
  }
});
