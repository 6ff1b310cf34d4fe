import { Code } from '@connectrpc/connect';
import type { ErrorCode } from '../../src/gateway/errors.ts';
import { data, ERROR, type Fields, goAway, headers, rstStream } from './h2-frames.ts';
import { answerTo, head, message, type RawCall, tail } from './raw-grpc.ts';

/** What a call ends with, and what a client of the gateway is told of it. */
export type Outcome = readonly [code: Code, gateway: ErrorCode];

export interface Fault {
  readonly name: string;
  readonly answer: (call: RawCall) => readonly Buffer[];
  /** What gRPC's specification makes of it. */
  readonly outcome: Outcome;
  /** What the transports on node:http2 may make of it, too. */
  readonly known?: readonly Outcome[];
  /** One of them waits for its deadline. */
  readonly mayHang?: boolean;
  /** The server says that it did not begin: the transport may ask again. */
  readonly mayBeRepeated?: boolean;
  /** The connection is of no more use. */
  readonly endsConnection?: boolean;
}

const reset =
  (code: number, after: readonly ('head' | 'message')[] = []) =>
  (call: RawCall) => [...answerTo(call).slice(0, after.length), rstStream(call.streamId, code)];
const only = (fields: Fields) => (call: RawCall) => [headers(call.streamId, fields, { end: true })];
const httpStatus = (status: number) => (call: RawCall) => [
  headers(call.streamId, [
    [':status', String(status)],
    ['content-type', 'text/html'],
  ]),
  data(call.streamId, Buffer.from('<h1>no</h1>'), { end: true }),
];
const GRPC: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];

const LOST: Outcome = [Code.Internal, 'UNAVAILABLE'];
const CANCELED: Outcome = [Code.Canceled, 'UNAVAILABLE'];
const UNAVAILABLE: Outcome = [Code.Unavailable, 'UNAVAILABLE'];
const LATE: Outcome = [Code.DeadlineExceeded, 'DEADLINE_EXCEEDED'];
const WRONG: Outcome = [Code.Internal, 'INTERNAL'];
const UNKNOWN: Outcome = [Code.Unknown, 'INTERNAL'];
const PRECONDITION: Outcome = [Code.FailedPrecondition, 'FAILED_PRECONDITION'];
const NO_MESSAGE: Outcome = [Code.Unimplemented, 'UNAVAILABLE'];

// gRPC over HTTP/2, "Errors"; and from the same place http-grpc-status-mapping and statuscodes.
export const FAULTS: readonly Fault[] = [
  {
    name: 'RST_STREAM with NO_ERROR',
    answer: reset(ERROR.noError),
    outcome: LOST,
    known: [UNAVAILABLE, LATE],
    mayHang: true,
  },
  { name: 'PROTOCOL_ERROR', answer: reset(ERROR.protocolError), outcome: LOST },
  { name: 'INTERNAL_ERROR', answer: reset(ERROR.internalError), outcome: LOST },
  { name: 'FLOW_CONTROL_ERROR', answer: reset(ERROR.flowControlError), outcome: LOST },
  { name: 'FRAME_SIZE_ERROR', answer: reset(ERROR.frameSizeError), outcome: LOST },
  { name: 'COMPRESSION_ERROR', answer: reset(ERROR.compressionError), outcome: LOST },
  { name: 'CONNECT_ERROR', answer: reset(ERROR.connectError), outcome: LOST },
  {
    name: 'REFUSED_STREAM',
    answer: reset(ERROR.refusedStream),
    outcome: UNAVAILABLE,
    known: [LOST],
    mayBeRepeated: true,
  },
  { name: 'CANCEL', answer: reset(ERROR.cancel), outcome: CANCELED, known: [UNAVAILABLE] },
  {
    name: 'ENHANCE_YOUR_CALM',
    answer: reset(ERROR.enhanceYourCalm),
    outcome: [Code.ResourceExhausted, 'OVERLOADED'],
    known: [[Code.Internal, 'OVERLOADED']],
  },
  {
    name: 'INADEQUATE_SECURITY',
    answer: reset(ERROR.inadequateSecurity),
    outcome: [Code.PermissionDenied, 'INTERNAL'],
    known: [LOST],
  },
  { name: 'INTERNAL_ERROR after the header', answer: reset(ERROR.internalError, ['head']), outcome: LOST },
  {
    name: 'CANCEL after the message',
    answer: reset(ERROR.cancel, ['head', 'message']),
    outcome: CANCELED,
    known: [UNAVAILABLE],
  },
  { name: 'HTTP 400', answer: httpStatus(400), outcome: WRONG },
  { name: 'HTTP 401', answer: httpStatus(401), outcome: [Code.Unauthenticated, 'INTERNAL'] },
  { name: 'HTTP 403', answer: httpStatus(403), outcome: [Code.PermissionDenied, 'INTERNAL'] },
  { name: 'HTTP 404', answer: httpStatus(404), outcome: [Code.Unimplemented, 'UNIMPLEMENTED'] },
  { name: 'HTTP 418', answer: httpStatus(418), outcome: UNKNOWN },
  { name: 'HTTP 429', answer: httpStatus(429), outcome: UNAVAILABLE },
  { name: 'HTTP 502', answer: httpStatus(502), outcome: UNAVAILABLE },
  { name: 'HTTP 503', answer: httpStatus(503), outcome: UNAVAILABLE },
  { name: 'HTTP 504', answer: httpStatus(504), outcome: UNAVAILABLE },
  { name: 'HTTP 503 and nothing else', answer: only([[':status', '503']]), outcome: UNAVAILABLE },
  {
    name: 'trailers only',
    answer: only([...GRPC, ['grpc-status', '9'], ['grpc-message', 'not%20n%C3%B6w']]),
    outcome: PRECONDITION,
  },
  {
    name: 'trailers only, with a message that is badly encoded',
    answer: only([...GRPC, ['grpc-status', '9'], ['grpc-message', '100%']]),
    outcome: PRECONDITION,
    known: [UNKNOWN],
  },
  {
    name: 'trailers only, which say OK',
    answer: only([...GRPC, ['grpc-status', '0']]),
    outcome: NO_MESSAGE,
    known: [[Code.Unknown, 'UNAVAILABLE']],
  },
  {
    name: 'a status that is no number',
    answer: only([...GRPC, ['grpc-status', 'fine']]),
    outcome: UNKNOWN,
    known: [WRONG],
  },
  {
    name: 'a status that nobody knows',
    answer: only([...GRPC, ['grpc-status', '77']]),
    outcome: UNKNOWN,
    known: [WRONG],
  },
  {
    name: 'another content type',
    answer: ({ streamId }) => [
      headers(streamId, [
        [':status', '200'],
        ['content-type', 'text/html'],
      ]),
      data(streamId, Buffer.from('<h1>hello</h1>'), { end: true }),
    ],
    outcome: UNKNOWN,
  },
  {
    name: 'a compressed message without an encoding',
    answer: ({ streamId, text }) => [head(streamId), data(streamId, message(text, 1)), tail(streamId)],
    outcome: WRONG,
  },
  {
    name: 'an encoding that was not offered',
    answer: ({ streamId, text }) => [
      headers(streamId, [...GRPC, ['grpc-encoding', 'snappy']]),
      data(streamId, message(text, 1)),
      tail(streamId),
    ],
    outcome: WRONG,
  },
  {
    name: 'two messages',
    answer: ({ streamId, text }) => [
      head(streamId),
      data(streamId, Buffer.concat([message(text), message(text)])),
      tail(streamId),
    ],
    outcome: [Code.Unimplemented, 'UNIMPLEMENTED'],
  },
  { name: 'OK without a message', answer: ({ streamId }) => [head(streamId), tail(streamId)], outcome: NO_MESSAGE },
  {
    name: 'a message that is no protobuf',
    answer: ({ streamId }) => [head(streamId), data(streamId, Buffer.from([0, 0, 0, 0, 2, 0x0a, 9])), tail(streamId)],
    outcome: WRONG,
  },
  {
    name: 'no status at the end',
    answer: ({ streamId, text }) => [head(streamId), data(streamId, message(text), { end: true })],
    outcome: LOST,
  },
  {
    name: 'trailers without a status',
    answer: ({ streamId, text }) => [
      head(streamId),
      data(streamId, message(text)),
      headers(streamId, [['x-tail', 'x']], { end: true }),
    ],
    outcome: LOST,
  },
  {
    name: 'a message cut short',
    answer: ({ streamId, text }) => [head(streamId), data(streamId, message(text).subarray(0, 7)), tail(streamId)],
    outcome: [Code.DataLoss, 'UNAVAILABLE'],
    known: [[Code.InvalidArgument, 'UNAVAILABLE']],
  },
  {
    name: 'GOAWAY with an error',
    answer: () => [goAway(0, ERROR.internalError, 'sorry')],
    outcome: UNAVAILABLE,
    known: [LOST],
    mayBeRepeated: true,
    endsConnection: true,
  },
  {
    name: 'GOAWAY that wants calm',
    answer: ({ streamId }) => [goAway(streamId, ERROR.enhanceYourCalm, 'too_many_pings')],
    outcome: UNAVAILABLE,
    known: [LOST],
    endsConnection: true,
  },
];
