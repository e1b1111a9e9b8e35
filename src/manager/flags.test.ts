/** `mesh manager`'s command line. */
import { expect, test } from "bun:test";
import { parseManagerFlags } from "./flags.ts";

const HOME = { XDG_STATE_HOME: "/state" };

test("without flags everything is on loopback, at the numbers people know", () => {
  expect(parseManagerFlags([], HOME)).toMatchObject({
    at: "flags",
    flags: {
      listen: { hostname: "127.0.0.1", port: 15_010 },
      http: { hostname: "127.0.0.1", port: 8_080 },
      metrics: { hostname: "127.0.0.1", port: 15_014 },
      dataDir: "/state/mesh",
      configDirs: [],
      domain: "cluster.local",
      namespace: "default",
      leaseMs: 10_000,
      logLevel: "info",
    },
  });
});

test("what is given counts", () => {
  const argv = [
    ...["--listen", "[::1]:0", "--http", "off", "--metrics=0.0.0.0:9", "-f", "a", "-f", "b"],
    ...["--in-memory", "--domain", "mesh.local", "--lease", "2.5", "--log-level", "debug"],
  ];
  expect(parseManagerFlags(argv, HOME)).toMatchObject({
    flags: {
      listen: { hostname: "::1", port: 0 },
      http: undefined,
      metrics: { hostname: "0.0.0.0", port: 9 },
      dataDir: "",
      configDirs: ["a", "b"],
      domain: "mesh.local",
      leaseMs: 2_500,
      logLevel: "debug",
    },
  });
  expect(parseManagerFlags(["-h"], HOME)).toEqual({ at: "help" });
  expect(parseManagerFlags([], { ...HOME, STATE_DIRECTORY: "/var/lib/mesh" })).toMatchObject({
    flags: { dataDir: "/var/lib/mesh" },
  });
});

const wrong: readonly (readonly [argv: readonly string[], said: readonly RegExp[]])[] = [
  [["--listen", "0.0.0.0:15010"], [/--listen: 0\.0\.0\.0:15010 is not loopback/]],
  [["--http", "192.0.2.1:80"], [/--http: .* not loopback/]],
  [["--listen", "nonsense"], [/--listen: "nonsense" is not HOST:PORT/]],
  [["--listen", "127.0.0.1:99999"], [/is not HOST:PORT/]],
  [["--log-level", "loud"], [/--log-level: one of debug, info, warn, error/]],
  [["--lease", "0"], [/--lease/]],
  [["--domain", "Not a name"], [/--domain/]],
  [["--namespace", "two.parts"], [/--namespace: "two.parts" is not a name/]],
  [
    ["--listn", "x", "--nonsense"],
    [/--listn: no such flag; did you mean --listen\?/, /--nonsense: no such flag/],
  ],
  [["--listen", "x", "--lease", "-"], [/--lease|lease/]],
  [["extra"], [/extra/]],
];
test.each(wrong)("%j is refused", (argv, said) => {
  const parsed = parseManagerFlags(argv, HOME);
  expect(parsed.at).toBe("problems");
  const text = parsed.at === "problems" ? parsed.problems.join("\n") : "";
  for (const pattern of said) expect(text).toMatch(pattern);
});
