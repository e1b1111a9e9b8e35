/**
 * Becomes another program that dies with its parent: prctl(PR_SET_PDEATHSIG), then execvp(3). A
 * parent that is killed with SIGKILL cannot stop its child any more; the kernel does it instead.
 * Linux only, and it says nothing about the children of that program.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { constants } from "node:os";

const PR_SET_PDEATHSIG = 1;
const SIG_DFL = null;
const SIGNALS = 31;

const { i32, u64, pointer } = FFIType;
const signatures = {
  prctl: { args: [i32, u64, u64, u64, u64], returns: i32 },
  getppid: { args: [], returns: i32 },
  signal: { args: [i32, pointer], returns: pointer },
  execvp: { args: [pointer, pointer], returns: i32 },
} as const;

/**
 * Returns only where it failed: the reason in words. `parent` is the process that started this one;
 * had it gone before the kernel was told, nobody would ever end us.
 */
export function becomeChildOf(parent: number, command: readonly string[]): string {
  const { symbols } = open();
  symbols.prctl(PR_SET_PDEATHSIG, BigInt(constants.signals.SIGTERM), 0n, 0n, 0n);
  if (symbols.getppid() !== parent) return "the proxy has gone";
  // This runtime ignores some signals for itself, and exec would pass that on.
  for (let signal = 1; signal <= SIGNALS; signal++) symbols.signal(signal, SIG_DFL);
  const words = command.map((word) => Buffer.from(`${word}\0`));
  const addresses = new BigUint64Array(words.length + 1);
  words.forEach((word, i) => {
    addresses[i] = BigInt(ptr(word));
  });
  symbols.execvp(ptr(words[0]!), ptr(addresses));
  return "cannot be run";
}

function open() {
  for (const name of ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"]) {
    try {
      return dlopen(name, signatures);
    } catch {
      // Not this one.
    }
  }
  throw new Error("no C library that can be called");
}
