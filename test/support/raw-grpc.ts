import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { GetWorkflowRequestSchema, WorkflowSchema } from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { data, type Fields, FLAG, FRAME, headers } from './h2-frames.ts';
import type { RawPeer } from './raw-http2-server.ts';
import { within } from './waiting.ts';

/** gRPC's part of an answer, for servers that are made of frames. */
export const HEAD: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc+proto'],
];
export const TAIL: Fields = [['grpc-status', '0']];
const PREFIX_BYTES = 5;
/** What everybody takes who has not said more. */
const MAX_FRAME_BYTES = 16_384;

export interface RawCall {
  readonly streamId: number;
  /** What was asked: the workflow id of the request, which an honest answer has, too. */
  readonly text: string;
}

/** A Workflow with this id as a gRPC message, with its prefix. */
export function message(id: string, flag = 0): Buffer {
  const bytes = toBinary(WorkflowSchema, create(WorkflowSchema, { id }));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix[0] = flag;
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

export const head = (streamId: number) => headers(streamId, HEAD);
export const tail = (streamId: number) => headers(streamId, TAIL, { end: true });

/** The honest answer: header, content and trailer. */
export function answerTo({ streamId, text }: RawCall): readonly [head: Buffer, message: Buffer, tail: Buffer] {
  const bytes = message(text);
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += MAX_FRAME_BYTES) {
    frames.push(data(streamId, bytes.subarray(at, at + MAX_FRAME_BYTES)));
  }
  return [head(streamId), Buffer.concat(frames), tail(streamId)];
}

/** Tells of each call whose request is there as a whole. */
export function onCall(peer: RawPeer, take: (call: RawCall) => void): void {
  const bodies = new Map<number, Buffer[]>();
  peer.onFrame(({ type, flags, streamId, payload }) => {
    if (type === FRAME.headers) bodies.set(streamId, []);
    if (type === FRAME.data) bodies.get(streamId)?.push(payload);
    if (type === FRAME.rstStream) bodies.delete(streamId);
    const body = bodies.get(streamId);
    if ((type !== FRAME.data && type !== FRAME.headers) || !(flags & FLAG.endStream) || !body) return;
    bodies.delete(streamId);
    const request = fromBinary(GetWorkflowRequestSchema, Buffer.concat(body).subarray(PREFIX_BYTES));
    take({ streamId, text: request.workflowId });
  });
}

/** The first `count` calls on the connection, in the order in which their requests were complete. */
export async function takeCalls(peer: RawPeer, count: number): Promise<RawCall[]> {
  const calls: RawCall[] = [];
  const complete = new Promise<void>((resolve) => {
    onCall(peer, (call) => {
      calls.push(call);
      if (calls.length === count) resolve();
    });
  });
  await within(`${count} calls`, complete);
  return calls.slice(0, count);
}

export async function takeCall(peer: RawPeer): Promise<RawCall> {
  const [call] = await takeCalls(peer, 1);
  return call!;
}

/** Answers every call with what it asked for; those that came before, too, unless they are `known`. */
export function serveHonestly(peer: RawPeer, known: readonly RawCall[] = []): void {
  const done = new Set(known.map(({ streamId }) => streamId));
  onCall(peer, (call) => {
    if (!done.has(call.streamId)) peer.send(...answerTo(call));
  });
}
