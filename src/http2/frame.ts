/** Frames and settings by number (RFC 9113 4.1, 6; RFC 8441 3). */
export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = {
  /** DATA, HEADERS. */
  endStream: 1,
  /** SETTINGS, PING. */
  ack: 1,
  /** HEADERS, CONTINUATION. */
  endHeaders: 4,
  /** DATA, HEADERS. */
  padded: 8,
  /** HEADERS. */
  priority: 32,
} as const;

export const SettingId = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

export const frameHeaderBytes = 9;
export const streamIdMax = 0x7fffffff;
export const windowMax = 0x7fffffff;
/** The window of a connection, and of streams before SETTINGS say otherwise (RFC 9113 6.9.2). */
export const windowAtStart = 65535;
/** SETTINGS_MAX_FRAME_SIZE before it is said, and the least that may be said. */
export const frameBytesAtStart = 16384;

/** What a client sends first of all (RFC 9113 3.4). */
export const preface: Uint8Array = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Four octets, big-endian, without sign. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
}

/** As readUint32, without the reserved first bit: stream identifiers, increments. */
export function readUint31(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  );
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
