import { ConnectionError } from './errors.ts';
import { MAX_31_BIT, MAX_FRAME_BYTES } from './frames.ts';

/** Identifiers: RFC 9113, section 6.5.2. */
const IDS = {
  HEADER_TABLE_SIZE: 0x1,
  ENABLE_PUSH: 0x2,
  MAX_CONCURRENT_STREAMS: 0x3,
  INITIAL_WINDOW_SIZE: 0x4,
  MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6,
} as const;

/** The window that each side begins with. */
export const DEFAULT_WINDOW_BYTES = 65_535;
const LARGEST_FRAME_BYTES = 16_777_215;
const SETTING_BYTES = 6;

/** What the peer has said of itself. Until then it is what the RFC assumes. */
export interface PeerSettings {
  maxConcurrentStreams: number;
  initialWindowBytes: number;
  maxFrameBytes: number;
}

export function defaultPeerSettings(): PeerSettings {
  return {
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowBytes: DEFAULT_WINDOW_BYTES,
    maxFrameBytes: MAX_FRAME_BYTES,
  };
}

/** Takes over a SETTINGS payload. Throws a ConnectionError. */
export function readSettings(settings: PeerSettings, payload: Buffer): void {
  if (payload.length % SETTING_BYTES !== 0) {
    throw new ConnectionError('FRAME_SIZE_ERROR', `SETTINGS of ${payload.length} bytes`);
  }
  for (let at = 0; at < payload.length; at += SETTING_BYTES) {
    apply(settings, payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
  }
}

// HEADER_TABLE_SIZE is for an encoder with a dynamic table, which ours has not. MAX_HEADER_LIST_SIZE is advice: what does
// not follow it, the server refuses.
function apply(settings: PeerSettings, id: number, value: number): void {
  if (id === IDS.MAX_CONCURRENT_STREAMS) settings.maxConcurrentStreams = value;
  else if (id === IDS.INITIAL_WINDOW_SIZE) {
    if (value > MAX_31_BIT) throw new ConnectionError('FLOW_CONTROL_ERROR', `an initial window of ${value} bytes`);
    settings.initialWindowBytes = value;
  } else if (id === IDS.MAX_FRAME_SIZE) {
    if (value < MAX_FRAME_BYTES || value > LARGEST_FRAME_BYTES) {
      throw new ConnectionError('PROTOCOL_ERROR', `SETTINGS_MAX_FRAME_SIZE of ${value}`);
    }
    settings.maxFrameBytes = value;
  } else if (id === IDS.ENABLE_PUSH && value !== 0) {
    // A server may not even say that it would like to.
    throw new ConnectionError('PROTOCOL_ERROR', `SETTINGS_ENABLE_PUSH of ${value} from a server`);
  }
}

/** What we say of ourselves, as the payload of SETTINGS. */
export function encodeSettings({ initialWindowBytes = 0, maxHeaderListBytes = 0 }): Buffer {
  const settings = [
    [IDS.ENABLE_PUSH, 0],
    [IDS.INITIAL_WINDOW_SIZE, initialWindowBytes],
    [IDS.MAX_HEADER_LIST_SIZE, maxHeaderListBytes],
  ] as const;
  const bytes = Buffer.allocUnsafe(settings.length * SETTING_BYTES);
  for (const [index, [id, value]] of settings.entries()) {
    bytes.writeUInt16BE(id, index * SETTING_BYTES);
    bytes.writeUInt32BE(value, index * SETTING_BYTES + 2);
  }
  return bytes;
}
