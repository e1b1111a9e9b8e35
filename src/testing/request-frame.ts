/**
 * Cuts a stream into HTTP/1 requests for the fake upstream: lenient, in strings, unlike http1/ on
 * purpose, so that a test does not judge our codec by our codec.
 */
export interface FrameState {
  pending: string;
}

export interface Frame {
  readonly head: string;
  /** Without chunk framing and trailers. */
  readonly body: string;
}

/** The requests that `text` completes. A body needs content-length or chunked coding. */
export function frameRequests(state: FrameState, text: string): Frame[] {
  state.pending += text;
  const frames: Frame[] = [];
  for (let frame = takeFrame(state); frame !== undefined; frame = takeFrame(state))
    frames.push(frame);
  return frames;
}

function takeFrame(state: FrameState): Frame | undefined {
  const at = state.pending.indexOf("\r\n\r\n");
  if (at === -1) return undefined;
  const head = state.pending.slice(0, at + 4);
  const rest = state.pending.slice(at + 4);
  if (/^transfer-encoding:.*chunked/im.test(head)) {
    const body = takeChunks(rest);
    if (body === undefined) return undefined;
    state.pending = rest.slice(body.end);
    return { head, body: body.text };
  }
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  if (rest.length < length) return undefined;
  state.pending = rest.slice(length);
  return { head, body: rest.slice(0, length) };
}

function takeChunks(text: string): { text: string; end: number } | undefined {
  let body = "";
  let at = 0;
  for (;;) {
    const line = text.indexOf("\r\n", at);
    if (line === -1) return undefined;
    const size = Number.parseInt(text.slice(at, line), 16);
    if (Number.isNaN(size)) return { text: body, end: text.length };
    at = line + 2;
    if (size === 0) break;
    if (text.length < at + size + 2) return undefined;
    body += text.slice(at, at + size);
    at += size + 2;
  }
  for (;;) {
    const line = text.indexOf("\r\n", at);
    if (line === -1) return undefined;
    const wasEmpty = line === at;
    at = line + 2;
    if (wasEmpty) return { text: body, end: at };
  }
}
