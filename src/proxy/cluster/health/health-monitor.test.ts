/** Endpoints that are asked whether they are well, in virtual time. */
import { describe, expect, test } from "bun:test";
import { Metrics } from "../../../telemetry/metrics.ts";
import { published } from "../../../testing/snapshot-sample.ts";
import { VirtualClock } from "../../../testing/virtual-clock.ts";
import type { Cluster } from "../cluster.ts";
import type { ProbeOutcome } from "./health-check.ts";
import type { Prober, ProbeTarget } from "./prober.ts";

/** Answers as it is told, after a millisecond; remembers who was asked and when. */
class ScriptedProber implements Prober {
  readonly asked: string[] = [];
  readonly #clock: VirtualClock;
  /** By address; "passed" unless told, "silent": never. */
  readonly answers = new Map<string, ProbeOutcome | "silent">();
  running = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  start({ address, port }: ProbeTarget, _probe: unknown, tell: (o: ProbeOutcome) => void) {
    this.asked.push(`${this.#clock.nowMs()} ${address}:${port}`);
    this.running++;
    const cancel = this.#clock.after(1, () => {
      const answer = this.answers.get(address) ?? "passed";
      if (answer === "silent") return;
      this.running--;
      tell(answer);
    });
    return () => {
      this.running--;
      cancel();
    };
  }
}

interface Sample {
  readonly cluster: Cluster;
  readonly clock: VirtualClock;
  readonly prober: ScriptedProber;
  readonly metrics: Metrics;
  /** The same cluster after a change of its configuration. */
  readonly republish: (changes: Changes) => Cluster;
}

interface Changes {
  readonly healthCheck?: Readonly<Record<string, number>> | undefined;
  readonly endpoints?: readonly string[];
}

const everySecond = { intervalMs: 1_000, jitterMs: 0, noTrafficIntervalMs: 1_000, timeoutMs: 500 };

function sample(healthCheck: Readonly<Record<string, number>> = {}, count = 1): Sample {
  const clock = new VirtualClock();
  const prober = new ScriptedProber(clock);
  const metrics = new Metrics();
  const names = Array.from({ length: count }, (_, i) => `10.0.0.${i + 1}`);
  const json = ({ endpoints = names, ...rest }: Changes) => {
    const asked = "healthCheck" in rest ? rest.healthCheck : healthCheck;
    const check = asked && { http: { path: "/health" }, ...everySecond, ...asked };
    return {
      clusters: [{ name: "c", ...(check && { healthCheck: check }) }],
      endpointSets: [
        { cluster: "c", endpoints: endpoints.map((address) => ({ address, port: 80 })) },
      ],
    };
  };
  let snapshot = published(json({}), { clock, prober, metrics });
  return {
    cluster: snapshot.clusters.get("c")!,
    clock,
    prober,
    metrics,
    republish(changes) {
      snapshot = published(json(changes), { clock, prober, metrics, former: snapshot });
      return snapshot.clusters.get("c")!;
    },
  };
}

function healths({ cluster }: Pick<Sample, "cluster">): string {
  return cluster.endpoints.map(({ check }) => check).join(" ");
}

describe("an endpoint", () => {
  test("waits for its first answer, which alone decides", () => {
    const good = sample();
    expect(healths(good)).toBe("pending");
    good.clock.advance(1);
    expect(healths(good)).toBe("healthy");
    const bad = sample();
    bad.prober.answers.set("10.0.0.1", "failed");
    bad.clock.advance(1);
    expect(healths(bad)).toBe("unhealthy");
  });

  test("goes after as many failures in a row as the threshold, and returns likewise", () => {
    const { cluster, clock, prober } = sample({ unhealthyThreshold: 3, healthyThreshold: 2 });
    const seen: string[] = [];
    for (const passes of [..."+++--+---+-++"].map((sign) => sign === "+")) {
      prober.answers.set("10.0.0.1", passes ? "passed" : "failed");
      clock.advance(seen.length === 0 ? 1 : 1_001);
      seen.push(cluster.endpoints[0]!.check === "healthy" ? "+" : "-");
    }
    expect(seen.join("")).toBe("++++++++----+");
  });

  test("that does not answer in time has failed, and the question is given up", () => {
    const { cluster, clock, prober } = sample({ timeoutMs: 300, unhealthyThreshold: 1 });
    prober.answers.set("10.0.0.1", "silent");
    clock.advance(299);
    expect(healths({ cluster })).toBe("pending");
    clock.advance(1);
    expect(healths({ cluster })).toBe("unhealthy");
    expect(prober.running).toBe(0);
  });

  test("is out of rotation while it fails, and others are not", () => {
    const { cluster, clock, prober } = sample({ unhealthyThreshold: 1, healthyThreshold: 1 }, 4);
    clock.advance(100);
    prober.answers.set("10.0.0.2", "failed");
    clock.advance(1_200);
    const picked = (): Set<string> =>
      new Set(Array.from({ length: 100 }, () => cluster.pick()!.address));
    expect([...picked()].sort()).toEqual(["10.0.0.1", "10.0.0.3", "10.0.0.4"]);
    prober.answers.delete("10.0.0.2");
    clock.advance(1_200);
    expect(picked().size).toBe(4);
  });

  test("that is new waits outside while others serve", () => {
    const { clock, republish } = sample({}, 2);
    clock.advance(100);
    const cluster = republish({ endpoints: ["10.0.0.1", "10.0.0.2", "10.0.0.3"] });
    expect(healths({ cluster })).toBe("healthy healthy pending");
    expect(cluster.pick(cluster.endpoints[0])!.address).toBe("10.0.0.2");
    clock.advance(100);
    expect(healths({ cluster })).toBe("healthy healthy healthy");
  });

  test("warms up from its return", () => {
    const { cluster, clock, prober } = sample({ unhealthyThreshold: 1, healthyThreshold: 1 });
    prober.answers.set("10.0.0.1", "failed");
    clock.advance(5_000);
    prober.answers.delete("10.0.0.1");
    clock.advance(1_000);
    expect(cluster.endpoints[0]!.inRotationMs).toBeGreaterThan(5_000);
  });
});

describe("questions", () => {
  test("come every interval after the answer", () => {
    const { clock, prober } = sample();
    clock.advance(3_100);
    expect(prober.asked.map((line) => line.split(" ")[0])).toEqual(["0", "1001", "2002", "3003"]);
  });

  test("come at another port if the policy says so", () => {
    const { clock, prober } = sample({ port: 15_021 });
    clock.advance(1);
    expect(prober.asked).toEqual(["0 10.0.0.1:15021"]);
  });

  test("come rarely while nobody uses the cluster", () => {
    const { cluster, clock, prober } = sample({ noTrafficIntervalMs: 60_000 });
    clock.advance(60_000);
    expect(prober.asked).toHaveLength(1);
    cluster.begin(cluster.endpoints[0]!);
    clock.advance(5_000);
    expect(prober.asked.length).toBeGreaterThan(1);
    clock.advance(1_000);
    expect(prober.asked.length).toBeLessThanOrEqual(4);
  });

  test("come in the unhealthy rhythm while the endpoint is unhealthy", () => {
    const { clock, prober } = sample({ unhealthyIntervalMs: 100 });
    prober.answers.set("10.0.0.1", "failed");
    clock.advance(1_000);
    expect(prober.asked.length).toBe(10);
  });

  test("are spread by the jitter", () => {
    const { clock, prober } = sample({ jitterMs: 1_000 });
    clock.advance(100_000);
    expect(prober.asked.length).toBeGreaterThan(60);
    expect(prober.asked.length).toBeLessThan(75);
  });

  test("to many endpoints do not begin together", () => {
    const { clock, prober } = sample({}, 50);
    clock.advance(0);
    expect(prober.asked.length).toBeLessThan(5);
    clock.advance(500);
    expect(prober.asked).toHaveLength(50);
  });

  test("are not asked where nobody wants them", () => {
    const { cluster, clock, republish } = sample();
    clock.advance(10);
    expect(clock.waiting).toBe(1);
    republish({ healthCheck: undefined });
    expect(clock.waiting).toBe(0);
    expect(healths({ cluster })).toBe("unchecked");
  });

  test("end with the cluster, one under way too", () => {
    const { cluster, clock, prober } = sample();
    prober.answers.set("10.0.0.1", "silent");
    clock.advance(10);
    cluster.close();
    expect([clock.waiting, prober.running]).toEqual([0, 0]);
  });
});

describe("a change of configuration", () => {
  test("that names the endpoint again leaves its health and its rhythm", () => {
    const { clock, prober, republish } = sample({ unhealthyThreshold: 1 }, 2);
    prober.answers.set("10.0.0.1", "failed");
    clock.advance(600);
    const asked = prober.asked.length;
    const cluster = republish({ endpoints: ["10.0.0.1", "10.0.0.2", "10.0.0.9"] });
    expect(healths({ cluster })).toBe("unhealthy healthy pending");
    clock.advance(100);
    expect(prober.asked.slice(asked).every((line) => line.includes("10.0.0.9"))).toBe(true);
  });

  test("of the way of asking asks again, and keeps what is known until then", () => {
    const { clock, prober, republish } = sample({ unhealthyThreshold: 2 });
    clock.advance(1);
    const cluster = republish({ healthCheck: { unhealthyThreshold: 1, port: 81 } });
    expect(healths({ cluster })).toBe("healthy");
    clock.advance(1);
    expect(prober.asked.at(-1)).toBe("1 10.0.0.1:81");
  });

  test("of something else does not ask again", () => {
    const { clock, prober, republish } = sample();
    clock.advance(1);
    republish({});
    clock.advance(500);
    expect(prober.asked).toHaveLength(1);
  });
});

test("checks are counted under Envoy's names", () => {
  const { clock, prober, metrics } = sample({}, 2);
  prober.answers.set("10.0.0.1", "failed");
  prober.answers.set("10.0.0.2", "silent");
  clock.advance(1_000);
  prober.answers.clear();
  clock.advance(1_000);
  const { values, families } = metrics.view();
  const counted = families
    .filter(({ name }) => name.startsWith("envoy_cluster_health_check_"))
    .map(({ name, series }) => `${name.slice(27)} ${values[series[0]!.slot]}`);
  expect(counted.sort()).toEqual([
    "attempt 4",
    "failure 2",
    "healthy 0",
    "network_failure 1",
    "success 2",
  ]);
});

test("without somebody who can ask, nobody is asked and everybody serves", () => {
  const snapshot = published({
    clusters: [{ name: "c", healthCheck: { tcp: {} } }],
    endpointSets: [{ cluster: "c", endpoints: [{ address: "10.0.0.1", port: 80 }] }],
  });
  const cluster = snapshot.clusters.get("c")!;
  expect(cluster.endpoints[0]!.check).toBe("unchecked");
  expect(cluster.pick()!.address).toBe("10.0.0.1");
});
