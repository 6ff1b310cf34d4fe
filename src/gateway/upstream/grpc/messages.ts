import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  isMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError, type UnaryResponse } from '@connectrpc/connect';
import { envelope } from './envelopes.ts';
import { toHeaders } from './status.ts';
import type { UnaryAnswer } from './unary-answer.ts';

/** A message, or what one is made of, as it goes over the wire. */
export function encodeMessage<Desc extends DescMessage>(desc: Desc, input: MessageInitShape<Desc>): Buffer {
  return envelope(toBinary(desc, isMessage(input, desc) ? input : create(desc, input)));
}

/** Throws INTERNAL for bytes that are no such message. */
export function decodeMessage<Desc extends DescMessage>(desc: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(desc, bytes);
  } catch (error) {
    throw new ConnectError(`the answer is no ${desc.typeName}`, Code.Internal, undefined, undefined, error);
  }
}

/** The answer as connect has it. Its Headers are made for those who ask, which costs more than all the rest. */
export function unaryResponse<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  { header, message, trailer }: UnaryAnswer,
): UnaryResponse<I, O> {
  return {
    stream: false,
    service: method.parent,
    method,
    message: decodeMessage(method.output, message),
    get header() {
      return toHeaders(header);
    },
    get trailer() {
      return toHeaders(trailer);
    },
  };
}
