/** What one HTTP/2 connection may cost us, and its defaults. Bytes are octets on the wire. */
export interface SessionLimits {
  /**
   * Streams at a time: server: what we allow the peer (SETTINGS_MAX_CONCURRENT_STREAMS), counted
   * until `release`; client: what we use at most, whatever the peer allows.
   */
  readonly streamsMax: number;
  /** What a peer may send on one stream before it is consumed. At least 65535 is kept at start. */
  readonly streamWindowBytes: number;
  /** The same for all streams of a connection together; at least 65535. */
  readonly connectionWindowBytes: number;
  /** The largest frame that we accept: SETTINGS_MAX_FRAME_SIZE, 16384 to 16777215. */
  readonly frameBytesMax: number;
  /** Decoded names and values, 32 more for each field: SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly headerListBytesMax: number;
  /** One field block before it is decoded, over all its frames. */
  readonly blockBytesMax: number;
  /** HEADERS and CONTINUATION frames of one field block. */
  readonly blockFramesMax: number;
  /**
   * Output that waits for the kernel: DATA is taken up to here; past it by another
   * `controlBytesMax` the session is clogged, and its input must not be read.
   */
  readonly outputBytesMax: number;
  readonly controlBytesMax: number;
}

export const defaultSessionLimits: SessionLimits = {
  streamsMax: 100,
  streamWindowBytes: 64 * 1024,
  connectionWindowBytes: 1024 * 1024,
  frameBytesMax: 16 * 1024,
  headerListBytesMax: 60 * 1024,
  blockBytesMax: 64 * 1024,
  blockFramesMax: 32,
  outputBytesMax: 128 * 1024,
  controlBytesMax: 64 * 1024,
};
