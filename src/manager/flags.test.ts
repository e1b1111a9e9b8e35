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
      identity: {
        trustDomain: "cluster.local",
        caDir: "",
        leafLifetimeMs: 86_400_000,
        advertise: [],
        kubernetes: undefined,
        oidc: undefined,
        gatewayAccounts: new Set(),
      },
    },
  });
});

test("who signs, and whose word is taken, can be said", () => {
  const argv = [
    ...["--trust-domain", "acme.example", "--ca-dir", "/ca", "--ca-key-file", "/key"],
    ...["--identity-dir", "/shared", "--leaf-lifetime", "1h30m", "--advertise", "mesh.acme"],
    ...["--kubernetes-api", "https://10.0.0.1", "--token-audience", "acme"],
    ...["--oidc-issuer", "https://issuer.acme", "--oidc-claim", "workload"],
    ...["--gateway-account", "default/edge", "--gateway-account", "shop/edge"],
  ];
  const pod = "/var/run/secrets/kubernetes.io/serviceaccount";
  const files = { caFile: `${pod}/ca.crt`, tokenFile: `${pod}/token` };
  expect(parseManagerFlags(argv, HOME)).toMatchObject({
    flags: {
      identity: {
        trustDomain: "acme.example",
        caDir: "/ca",
        caKeyFile: "/key",
        identityDir: "/shared",
        leafLifetimeMs: 5_400_000,
        advertise: ["mesh.acme"],
        kubernetes: { api: "https://10.0.0.1", ...files, audience: "acme" },
        oidc: { issuer: "https://issuer.acme", claim: "workload", audience: "acme" },
        gatewayAccounts: new Set(["default/edge", "shop/edge"]),
      },
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
  [["--trust-domain", "a b"], [/--trust-domain: "a b" is not a trust domain/]],
  [["--leaf-lifetime", "9s"], [/--leaf-lifetime: from 10s to 2160h/]],
  [["--leaf-lifetime", "91d"], [/--leaf-lifetime/]],
  [["--leaf-lifetime", "2161h"], [/--leaf-lifetime/]],
  [["--advertise", "a b"], [/--advertise: "a b" is neither/]],
  [["--kubernetes-api", "http://10.0.0.1"], [/--kubernetes-api: .* is not a URL of https/]],
  [["--gateway-account", "edge"], [/--gateway-account: "edge" is not NAMESPACE\/ACCOUNT/]],
  [["--gateway-account", "a/b/c"], [/--gateway-account: "a\/b\/c" is not NAMESPACE/]],
  [["--oidc-issuer", "issuer"], [/--oidc-issuer: "issuer" is not a URL of https/]],
  [["--token-audience", ""], [/--token-audience/]],
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
