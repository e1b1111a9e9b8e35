/**
 * Time as a parameter. Production passes systemClock; a simulation passes a VirtualClock, which
 * moves only when it is told to. Milliseconds throughout.
 */
export interface Clock {
  /** Monotonic; its origin means nothing. */
  nowMs(): number;
  /** Since 1970, for people and records. */
  wallMs(): number;
  /** Calls back once after `ms`; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
