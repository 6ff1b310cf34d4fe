import { ConnectionError } from './errors.ts';
import { createFrameReader } from './frame-reader.ts';
import { FLAGS, FRAMES, MAX_31_BIT } from './frames.ts';
import { createHeaderBlocks, type HeaderBlock, unpad } from './header-blocks.ts';

/** What a server says, frame by frame, in a form that RFC 9113 allows. Each may throw a ConnectionError. */
export interface IncomingFrames {
  header(block: HeaderBlock): void;
  /** The content of DATA; `length` counts its padding, too. */
  data(streamId: number, content: Buffer, length: number, endStream: boolean): void;
  reset(streamId: number, code: number): void;
  settings(payload: Buffer): void;
  settingsAck(): void;
  ping(payload: Buffer): void;
  goaway(lastStreamId: number, code: number): void;
  windowUpdate(streamId: number, increment: number): void;
  /** A frame that means nothing to us. */
  ignored(): void;
}

/**
 * Takes what the socket reads, and hands out the frames. Throws a ConnectionError for what no server may send, whatever the
 * state of its streams.
 */
export function createIncomingFrames(frames: IncomingFrames, maxHeaderListBytes: number): (chunk: Buffer) => void {
  const headerBlocks = createHeaderBlocks(maxHeaderListBytes, frames.header);
  let hasBegun = false;

  function onFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const openBlock = headerBlocks.openStream();
    if (openBlock !== undefined && (type !== FRAMES.CONTINUATION || streamId !== openBlock)) {
      throw new ConnectionError('PROTOCOL_ERROR', 'a header block is interrupted');
    }
    if (!hasBegun && (type !== FRAMES.SETTINGS || flags & FLAGS.ACK)) {
      throw new ConnectionError('PROTOCOL_ERROR', 'the server does not begin with SETTINGS');
    }
    hasBegun = true;
    switch (type) {
      case FRAMES.DATA: {
        const [from, to] = unpad(type, flags, bytes, start, end);
        frames.data(streamId, bytes.subarray(from, to), end - start, (flags & FLAGS.END_STREAM) !== 0);
        break;
      }
      case FRAMES.HEADERS:
        headerBlocks.headers(flags, streamId, bytes, start, end);
        break;
      case FRAMES.CONTINUATION:
        if (openBlock === undefined) throw new ConnectionError('PROTOCOL_ERROR', 'CONTINUATION of nothing');
        headerBlocks.continuation(flags, bytes, start, end);
        break;
      case FRAMES.RST_STREAM:
        assertLength('RST_STREAM', end - start, 4);
        frames.reset(streamId, bytes.readUInt32BE(start));
        break;
      case FRAMES.SETTINGS:
        assertConnection('SETTINGS', streamId);
        if (flags & FLAGS.ACK) {
          assertLength('SETTINGS with ACK', end - start, 0);
          frames.settingsAck();
        } else frames.settings(bytes.subarray(start, end));
        break;
      case FRAMES.PING:
        assertConnection('PING', streamId);
        assertLength('PING', end - start, 8);
        if (flags & FLAGS.ACK) frames.ignored();
        else frames.ping(bytes.subarray(start, end));
        break;
      case FRAMES.GOAWAY:
        assertConnection('GOAWAY', streamId);
        if (end - start < 8) throw new ConnectionError('FRAME_SIZE_ERROR', `GOAWAY of ${end - start} bytes`);
        frames.goaway(bytes.readUInt32BE(start) & MAX_31_BIT, bytes.readUInt32BE(start + 4));
        break;
      case FRAMES.WINDOW_UPDATE:
        assertLength('WINDOW_UPDATE', end - start, 4);
        frames.windowUpdate(streamId, bytes.readUInt32BE(start) & MAX_31_BIT);
        break;
      case FRAMES.PUSH_PROMISE:
        throw new ConnectionError('PROTOCOL_ERROR', 'a push, which we have said we do not take');
      default:
        // PRIORITY means nothing any more, and what is unknown is ignored (sections 5.3.2 and 4.1).
        frames.ignored();
    }
  }

  return createFrameReader(onFrame);
}

function assertLength(name: string, length: number, expected: number): void {
  if (length !== expected) throw new ConnectionError('FRAME_SIZE_ERROR', `${name} of ${length} bytes`);
}

function assertConnection(name: string, streamId: number): void {
  if (streamId !== 0) throw new ConnectionError('PROTOCOL_ERROR', `${name} on stream ${streamId}`);
}
