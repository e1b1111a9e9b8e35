/**
 * The C library's socket calls that Bun does not offer, by bun:ffi. Bun calls that experimental, so
 * it is used in this module only, probed once, and every caller has a fallback for `undefined`.
 *
 * Structures are laid out for 64-bit little-endian Linux, where glibc and musl agree.
 */
import { dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";

// By name: dlopen refuses the number that FFIType has for a buffer.
const i32 = "i32";
const u32 = "u32";
const size = FFIType.i64_fast;
const buffer = "buffer";

const signatures = {
  getsockopt: { args: [i32, i32, i32, buffer, buffer], returns: i32 },
  setsockopt: { args: [i32, i32, i32, buffer, u32], returns: i32 },
  getsockname: { args: [i32, buffer, buffer], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, buffer, u32], returns: i32 },
  connect: { args: [i32, buffer, u32], returns: i32 },
  sendmsg: { args: [i32, buffer, i32], returns: size },
  send: { args: [i32, buffer, size, i32], returns: size },
  recv: { args: [i32, buffer, size, i32], returns: size },
  recvmsg: { args: [i32, buffer, i32], returns: size },
  dup: { args: [i32], returns: i32 },
  madvise: { args: ["u64", "u64", i32], returns: i32 },
  close: { args: [i32], returns: i32 },
  __errno_location: { args: [], returns: FFIType.ptr },
} as const;

const candidates = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

type Libc = ReturnType<typeof open>["symbols"];

const loaded: { libc?: Libc | undefined } = {};

/** Undefined where there is no such library, or it cannot be called. */
export function libc(): Libc | undefined {
  if (!("libc" in loaded)) loaded.libc = probe();
  return loaded.libc;
}

/** An address for a field of a C structure; `bytes` must be kept alive by the caller. */
export function addressOf(bytes: Uint8Array): bigint {
  return BigInt(ptr(bytes));
}

/** Of the call just made; ask for nothing else in between. */
export function errno(): number {
  const location = libc()?.__errno_location();
  return location == null ? 0 : read.i32(location as Pointer, 0);
}

function probe(): Libc | undefined {
  if (process.platform !== "linux") return undefined;
  for (const name of candidates) {
    try {
      const { symbols } = open(name);
      // A call that must fail with −1 shows that arguments and results pass as declared.
      if (symbols.close(-1) === -1) return symbols;
    } catch {
      // Not this one.
    }
  }
  return undefined;
}

function open(name: string) {
  return dlopen(name, signatures);
}
