/** `mesh mixer`'s command line. */
import { expect, test } from "bun:test";
import { MIXER_HELP, parseMixerFlags } from "./flags.ts";

const HOME = { XDG_STATE_HOME: "/state" };
const parse = (...argv: string[]) => parseMixerFlags(argv, HOME, "host");

test("without flags it is on loopback, at the numbers people know, and sheds nothing", () => {
  expect(parse()).toMatchObject({
    at: "flags",
    flags: {
      listen: { hostname: "127.0.0.1", port: 9091 },
      metrics: { hostname: "127.0.0.1", port: 9_093 },
      admin: { hostname: "127.0.0.1", port: 9_876 },
      manager: "http://127.0.0.1:15010",
      configDirs: [],
      stateDir: "/state/mesh",
      id: "mixer-host",
      messageBytesMax: 1_048_576,
      callsMax: 1_024,
      shedding: { mode: "disabled", averageLatencyMs: 100, latencyEnforcementRate: 100 },
      rollUp: { expiryMs: 600_000, seriesMax: 50_000 },
      drainMs: 5_000,
    },
  });
});

test("what is given counts; a burst is the rate unless it is said", () => {
  const shedding = ["--load-shedding", "enforce", "--max-rate", "500"];
  const rollUp = ["--series-expiry", "86400", "--series-max", "1000000", "--admin", "off"];
  const given = ["-f", "a", "-f", "b", "--metrics", "off", "--listen", "[::1]:0", ...shedding];
  expect(parse(...given, ...rollUp)).toMatchObject({
    flags: {
      listen: { hostname: "::1", port: 0 },
      metrics: undefined,
      admin: undefined,
      rollUp: { expiryMs: 86_400_000, seriesMax: 1_000_000 },
      configDirs: ["a", "b"],
      shedding: { mode: "enforce", requestsPerSecond: 500, burst: 500 },
    },
  });
});

test("every problem is told at once", () => {
  const wrong = ["--listen", "0.0.0.0:1", "--max-rate=-1", "--load-shedding=no", "--id", "a b"];
  expect(parse(...wrong)).toEqual({
    at: "problems",
    problems: [
      '--max-rate: 0 to 1000000000 are possible, not "-1"',
      "--listen: 0.0.0.0:1 is not loopback, and plaintext proves nobody's identity; " +
        "use 127.0.0.1 and a tunnel",
      '--id: "a b" is not a name',
      "--load-shedding: one of disabled, logonly, enforce",
    ],
  });
  const limits = ["--series-expiry", "9", "--series-max", "many", "--admin", "0.0.0.0:1"];
  expect(parse(...limits)).toEqual({
    at: "problems",
    problems: [
      "--admin: 0.0.0.0:1 is not loopback, and plaintext proves nobody's identity; " +
        "use 127.0.0.1 and a tunnel",
      '--series-expiry: 10 to 86400 are possible, not "9"',
      '--series-max: 1 to 1000000 are possible, not "many"',
    ],
  });
  expect(parse("--max-rat", "1")).toEqual({
    at: "problems",
    problems: ["--max-rat: no such flag; did you mean --max-rate?"],
  });
});

test("help names every flag", () => {
  expect(parse("-h")).toEqual({ at: "help" });
  for (const flag of ["--listen", "--config-dir", "--burst", "--series-max", "--admin", "--drain"])
    expect(MIXER_HELP).toContain(flag);
});
