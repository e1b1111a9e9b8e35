/** `mesh proxy`'s command line. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../core/problem.ts";
import { proxyUsage } from "./flag-table.ts";
import { type ProxyFlags, parseProxyFlags, serviceName } from "./flags.ts";

const flagsOf = (line: string, environment = {}): ProxyFlags => {
  const result = parseProxyFlags(line.split(" ").filter(Boolean), environment);
  if (result.at !== "flags") throw new Error(JSON.stringify(result));
  return result.flags;
};
const problemsOf = (line: string): string[] => {
  const result = parseProxyFlags(line.split(" "));
  return result.at === "problems" ? result.problems.map(formatProblem) : [];
};

test("a sidecar with its application", () => {
  const flags = flagsOf(
    "--service reviews.default --labels version=v1,app=reviews --app-port 9080 -- node a.js -f",
  );
  expect(flags.service).toBe("reviews.default.svc.cluster.local");
  expect(flags.labels).toEqual({ version: "v1", app: "reviews" });
  expect(flags.app).toEqual({ hostname: "127.0.0.1", port: 9080 });
  expect(flags.servicePort).toBe(9080);
  expect(flags.command).toEqual(["node", "a.js", "-f"]);
});

test("a locality is one to three places, from the flag or the environment", () => {
  expect(flagsOf("--locality eu/a/rack-1").locality).toBe("eu/a/rack-1");
  expect(flagsOf("", { MESH_LOCALITY: "eu" }).locality).toBe("eu");
  expect(flagsOf("").locality).toBe("");
  for (const wrong of ["eu/a/1/2", "eu//1", "/", "eu/*"])
    expect(problemsOf(`--locality ${wrong}`)).toEqual([expect.stringContaining("is not REGION")]);
});

test("defaults are the ports that Istio's users know", () => {
  const flags = flagsOf("");
  expect(flags.outbound).toEqual({ hostname: "127.0.0.1", port: 15001 });
  expect(flags.inbound.port).toBe(15006);
  expect(flags.admin.port).toBe(15000);
  expect(flags.readiness.port).toBe(15021);
  expect(flags.manager).toBe("http://127.0.0.1:15010");
});

test.each([
  ["", "127.0.0.1"],
  ["--manager none", "127.0.0.1"],
  ["--manager http://10.0.0.1:15010 --standalone -f a", "127.0.0.1"],
  ["--manager http://10.0.0.1:15010", "0.0.0.0"],
  ["--advertise 10.0.0.2", "0.0.0.0"],
])("'%s': inbound is bound to %s", (line, hostname) => {
  expect(flagsOf(line).inbound).toEqual({ hostname, port: 15006 });
  expect(flagsOf(line).readiness.hostname).toBe(hostname);
});

test("a gateway has the ports of the web, or others", () => {
  const { mode, http, https, inbound } = flagsOf("--mode gateway");
  expect([mode, http, https]).toEqual([
    "gateway",
    { hostname: "0.0.0.0", port: 80 },
    { hostname: "0.0.0.0", port: 443 },
  ]);
  expect(inbound.port).toBe(15006);
  const other = flagsOf("--mode GATEWAY --http-port 8080 --https-port 127.0.0.1:8443");
  expect([other.mode, other.http.port, other.https.hostname]).toEqual([
    "gateway",
    8080,
    "127.0.0.1",
  ]);
  expect(flagsOf("").mode).toBe("sidecar");
});

test("addresses in every usual form", () => {
  expect(flagsOf("--outbound 0").outbound).toEqual({ hostname: "127.0.0.1", port: 0 });
  expect(flagsOf("--outbound=:99").outbound).toEqual({ hostname: "127.0.0.1", port: 99 });
  expect(flagsOf("--inbound [::1]:7").inbound).toEqual({ hostname: "::1", port: 7 });
  expect(flagsOf("--upstream Reviews=h:1 --upstream x.y:80=10.0.0.1:2").upstreams).toEqual([
    { service: "reviews", hostname: "h", port: 1 },
    { service: "x.y:80", hostname: "10.0.0.1", port: 2 },
  ]);
  expect(
    flagsOf("--namespace prod --tcp-listen 3306=MySQL:3306 --tcp-listen [::1]:0=db.x:5432")
      .tcpListeners,
  ).toEqual([
    { hostname: "127.0.0.1", port: 3_306, destination: "mysql.prod.svc.cluster.local:3306" },
    { hostname: "::1", port: 0, destination: "db.x.svc.cluster.local:5432" },
  ]);
  expect(flagsOf("--manager none").manager).toBeUndefined();
  expect(flagsOf("--drain-seconds 0.5").drainMs).toBe(500);
  expect(flagsOf("--manager mesh:15010").manager).toBe("http://mesh:15010");
  expect(flagsOf("--manager https://mesh:15012").manager).toBe("https://mesh:15012");
});

test("how a workload proves who it is", () => {
  const line =
    "--token /run/token --service-account billing --identity-file /var/id.pem --manager-ca /ca.pem";
  expect(flagsOf(line, { MESH_JOIN_TOKEN: "mesh1.x" }).credential).toEqual({
    ...{ tokenFile: "/run/token", token: "mesh1.x", jwtFile: undefined },
    ...{ account: "billing", lifetimeSeconds: 0, keptIn: "/var/id.pem", managerRoots: "/ca.pem" },
  });
  expect(flagsOf("--jwt-file /run/jwt").credential.jwtFile).toBe("/run/jwt");
  expect(flagsOf("", { MESH_JOIN_TOKEN: "" }).credential.token).toBeUndefined();
});

test("the environment stands in for an absent flag only", () => {
  expect(flagsOf("", { MESH_MANAGER: "http://a:1" }).manager).toBe("http://a:1");
  expect(flagsOf("--manager http://b:1", { MESH_MANAGER: "http://a:1" }).manager).toBe(
    "http://b:1",
  );
  expect(flagsOf("", { XDG_STATE_HOME: "/s" }).stateDir).toBe("/s/mesh");
  expect(flagsOf("", { HOME: "/h" }).stateDir).toBe("/h/.local/state/mesh");
});

describe("names of services", () => {
  test.each([
    ["reviews", undefined, "reviews.default.svc.cluster.local", "default"],
    ["reviews", "prod", "reviews.prod.svc.cluster.local", "prod"],
    ["reviews.prod", "other", "reviews.prod.svc.cluster.local", "prod"],
    ["reviews.prod.svc", undefined, "reviews.prod.svc.cluster.local", "prod"],
    ["reviews.prod.svc.cluster.local", undefined, "reviews.prod.svc.cluster.local", "prod"],
    ["api.example.com", "prod", "api.example.com", "prod"],
    ["", "prod", "", "prod"],
  ])("%s in %s", (written, namespace, service, own) => {
    expect(serviceName(written, namespace, "cluster.local")).toEqual({ service, namespace: own });
  });
});

test("every mistake is reported at once, with what was probably meant", () => {
  expect(problemsOf("--outbuond 1 --app-port 99999 stray --service a --service b --id")).toEqual([
    "command line: --outbuond: unknown flag (did you mean --outbound?)",
    "command line: stray: not a flag (the application's command follows --)",
    "command line: --service: is given twice",
    "command line: --id: needs a value: ID",
    'command line: --app-port: "99999" is not a port',
  ]);
});

test.each([
  ["--mode edge", "not one of sidecar, gateway"],
  ["--http-port 8080", "add --mode gateway"],
  ["--https-port 8443", "add --mode gateway"],
  ["--certificates /c", "add --mode gateway"],
  ["--client-certificates optional", "add --mode gateway"],
  ["--mode gateway --client-certificates maybe", "not one of none, optional, required"],
  ["--proxy-protocol", "is about who calls an application"],
  ["--mode gateway --http-port 0 --concurrency 2", "have to be told their port"],
  ["--mode gateway --service a --app-port 80", "belongs to a sidecar"],
  ["--mode gateway --http-port 81 --https-port 81", "is 81, as --http-port is"],
  ["--mode gateway -- true", "runs no application"],
  ["--tproxy 0 --service a --app-port 80", "not a number from 1 to 4294967294"],
  ["--tproxy 1337", "add --app-port PORT"],
  ["--tproxy 1337 --service a --app-port 80 --inbound 127.0.0.1:15006", "as --tproxy needs"],
  ["--concurrency 61", "not a number from 0 to 60"],
  ["--concurrency two", "not a number"],
  ["--concurrency -1", "not a number"],
  ["--concurrency=", "not a number"],
  ["--standalone", "add -f DIR|FILE"],
  ["-f rules", "add --standalone"],
  ["--app-port 80", "add --service NAME"],
  ["--service a --app-port 15001", "would call itself"],
  ["--service a --restart -- true", "leave out -- COMMAND"],
  ["--admin 0.0.0.0:1", "not a loopback address"],
  ["--protocol smtp", "not one of http, http2, grpc, tcp"],
  ["--tcp-listen 3306", "not [HOST:]PORT=SERVICE:PORT"],
  ["--tcp-listen 3306=mysql", "not [HOST:]PORT=SERVICE:PORT"],
  ["--tcp-listen 3306=mysql:0", "not [HOST:]PORT=SERVICE:PORT"],
  ["--tcp-listen =mysql:1", "not [HOST:]PORT=SERVICE:PORT"],
  ["--tcp-listen 1=a:1 --tcp-listen 127.0.0.1:1=b:1", "127.0.0.1:1 is given twice"],
  ["--upstream reviews", "not SERVICE=HOST:PORT"],
  ["--manager ftp://x", "not an http:// or https:// address"],
  ["--labels x", "not KEY=VALUE"],
  ["--service a_b", '--service: "a_b" is no name: must be of letters, digits and inner dashes'],
  ["--service a..b", '"a..b" is no name: part "" must not be empty'],
  ["--namespace -x", '--namespace: "-x" is no name'],
  ["--domain cluster,local", '--domain: "cluster,local" is no name'],
  ["--service-account a/b", "not the name of an account"],
  ["--token a --jwt-file b", "give one of them"],
  ["--manager http://10.0.0.1:15010 --jwt-file a", "told the token in plaintext"],
  ["--drain-seconds -1", "not a number"],
  ["--restart=yes", "takes no value"],
])("%s is refused", (line, reason) => {
  expect(problemsOf(line).join("\n")).toContain(reason);
});

test("--help names every flag and shows examples", () => {
  expect(parseProxyFlags(["--help", "--nonsense"]).at).toBe("help");
  for (const word of ["--service", "--upstream", "-f, --file", "--drain-seconds", "Examples:"]) {
    expect(proxyUsage()).toContain(word);
  }
});
