/** Connections end some time after the certificate that they began with. */
import { expect, test } from "bun:test";
import { Log } from "../../core/log.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { IdentitySeat } from "./identity-seat.ts";

test("each minute those end whose peer's certificate expired five minutes ago", () => {
  const clock = new VirtualClock(Date.now());
  const before: number[] = [];
  const plane = {
    retireExpired: (ms: number) => void before.push(clock.wallMs() - ms),
    retirePlaintext: () => {},
  };
  const seat = new IdentitySeat({
    ...{ clock, metrics: new Metrics(), log: new Log("proxy", { level: "error" }) },
    ...{ passOn: () => {}, onRefused: () => {}, planes: () => [plane, undefined] },
  });
  clock.advance(600_000);
  expect(before).toEqual([]);
  const { chain, key } = new CertificateAuthority().issue({ name: "web" });
  for (let i = 0; i < 3; i++) seat.useCertificate({ chainPem: chain, keyPem: key });
  clock.advance(180_000);
  expect(before).toEqual([300_000, 300_000, 300_000]);
  seat.close();
  expect(clock.waiting).toBe(0);
});
