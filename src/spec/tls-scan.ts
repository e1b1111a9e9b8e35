/** What sslscan finds on a port that speaks TLS, and what it may find on one of ours. */
import { expect } from "bun:test";
import { installed } from "./peer.ts";
import type { Stage } from "./process.ts";

export const sslscan = installed("sslscan");

/** TLS 1.2 and 1.3, forward secrecy and AEAD alone; nothing that was ever an attack's way in. */
export async function expectStrong(
  stage: Stage,
  target: string,
  flags: readonly string[] = [],
): Promise<void> {
  expect(sslscan.missing).toBe("");
  const scan = stage.run(["sslscan", "--no-colour", "--xml=-", ...flags, target]);
  expect(await scan.child.exited).toBe(0);
  const report = scan.output();
  const enabled = (kind: string): string[] =>
    [
      ...report.matchAll(new RegExp(`<protocol type="${kind}" version="([^"]+)" enabled="1"`, "g")),
    ].map(([, version]) => version!);
  expect([enabled("ssl"), enabled("tls")]).toEqual([[], ["1.2", "1.3"]]);
  const ciphers = [...report.matchAll(/sslversion="(\S+)" bits="(\d+)" cipher="([^"]+)"/g)];
  const versions = new Set(ciphers.map(([, version]) => version));
  expect(versions).toEqual(new Set(["TLSv1.2", "TLSv1.3"]));
  for (const [, version, bits, cipher] of ciphers) {
    expect([cipher, Number(bits) >= 128]).toEqual([cipher, true]);
    if (version === "TLSv1.2") expect(cipher).toMatch(/^ECDHE-ECDSA-.*(GCM|CHACHA20)/);
    else expect(cipher).toMatch(/^TLS_.*(GCM|CHACHA20)/);
  }
  expect(report).toContain('<renegotiation supported="0" secure="0"');
  // Debian's build says nothing of it, since its library has none to try.
  expect(report).not.toContain('<compression supported="1"');
  expect(report).not.toContain('vulnerable="1"');
}
