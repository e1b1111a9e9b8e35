/** Applications that speak plain HTTP reach services that speak TLS, and never see it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { startSidecar } from "./mesh.ts";
import { Stage, until } from "./process.ts";

const stage = new Stage();
const root = new CertificateAuthority();
const ca = stage.file("ca.pem", root.certificate);
const accessLog = join(stage.directory, "access.log");
const own = root.issue({ name: "caller" });
const closers: (() => unknown)[] = [];
let outbound: number;
let admin: number;

/** Answers with the server name and the client that it saw. */
async function serve(name: string, asksClients = false): Promise<number> {
  const { chain: cert, key } = root.issue({ name, for: [`DNS:${name}`] });
  const options = { cert, key, requestCert: asksClients, ca: root.certificate, allowHTTP1: true };
  const server = createSecureServer(options, (request, response) => {
    const socket = request.socket as TLSSocket;
    const client = asksClients ? socket.getPeerCertificate().subject.CN : "";
    response.end(JSON.stringify({ name: socket.servername, client, host: request.headers.host }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  return (server.address() as { port: number }).port;
}

const outside = (name: string, port: number, to: number, protocol: string): string => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name.replaceAll(".", "-")} }
spec:
  hosts: [${name}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: ${port}, name: p, protocol: ${protocol} }]
  endpoints: [{ address: 127.0.0.1, ports: { p: ${to} } }]
`;

const secure = (host: string, tls: string, more = ""): string => `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host.replaceAll(".", "-")} }
spec: { host: ${host}, trafficPolicy: { tls: ${tls}${more} } }
`;

beforeAll(async () => {
  const [api, mutual, wrong] = [
    await serve("api.example"),
    await serve("mutual.example", true),
    await serve("somebody.example"),
  ];
  // With outlierDetection nobody who is ill is used for want of others.
  const check = ", healthCheck: { http: { path: /healthz }, interval: 1s }, outlierDetection: {}";
  const files = `caCertificates: ${ca}`;
  const certificate = stage.file("own.pem", own.chain);
  const key = stage.file("own.key", own.key);
  const rules = [
    outside("api.example", 443, api, "HTTPS"),
    secure("api.example", `{ mode: SIMPLE, ${files} }`),
    outside("mutual.example", 80, mutual, "HTTP"),
    secure(
      "mutual.example",
      `{ mode: MUTUAL, ${files}, clientCertificate: ${certificate}, privateKey: ${key} }`,
    ),
    outside("wrong.example", 443, wrong, "HTTPS"),
    secure("wrong.example", `{ mode: SIMPLE, ${files} }`),
    outside("well.example", 443, api, "HTTPS"),
    secure("well.example", `{ mode: SIMPLE, ${files}, sni: api.example }`, check),
    outside("ill.example", 443, wrong, "HTTPS"),
    secure("ill.example", `{ mode: SIMPLE, ${files}, sni: api.example }`, check),
  ];
  const sidecar = await startSidecar(stage, [
    ...["--standalone", "-f", stage.file("rules.yaml", rules.join(""))],
    ...["--access-log", accessLog],
  ]);
  outbound = sidecar.outbound;
  admin = sidecar.admin;
}, 60_000);

afterAll(async () => {
  await stage.close();
  for (const close of closers) close();
});

async function curl(...args: readonly string[]): Promise<string> {
  const proxy = `http://127.0.0.1:${outbound}`;
  const command = ["curl", "-sS", "--max-time", "10", "--proxy", proxy, "--cacert", ca, ...args];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const both = [child.stdout, child.stderr].map((stream) => new Response(stream).text());
  return (await Promise.all(both)).join("");
}

test("plain HTTP to a port of HTTPS", async () => {
  for (const url of ["http://api.example:443/", "http://api.example/"])
    expect(JSON.parse(await curl(url))).toMatchObject({ name: "api.example", client: "" });
});

test("who speaks TLS himself is let through as he is", async () => {
  expect(JSON.parse(await curl("https://api.example/"))).toMatchObject({ name: "api.example" });
});

test("a DestinationRule secures a port of HTTP, and shows a certificate of ours", async () => {
  expect(JSON.parse(await curl("http://mutual.example/"))).toEqual({
    ...{ name: "mutual.example", client: "caller", host: "mutual.example" },
  });
});

test("somebody else's certificate is 503, and the access log says whose", async () => {
  expect(await curl("-i", "http://wrong.example:443/")).toContain("upstream-tls-failure");
  const line = "tls-wrong-identity:_CN=somebody.example";
  await until("its line", () => readFileSync(accessLog, "utf8").includes(line));
});

test("health checks go over the same TLS: who is somebody else is out of rotation", async () => {
  const flags = async (host: string): Promise<string> => {
    const text = await (await fetch(`http://127.0.0.1:${admin}/clusters`)).text();
    return new RegExp(`\\|${host}::.*health_flags::(\\S+)`).exec(text)?.[1] ?? "";
  };
  await until("both to be judged", async () => {
    const both = [await flags("well.example"), await flags("ill.example")];
    return both.join(" ") === "healthy /failed_active_hc";
  });
  expect(JSON.parse(await curl("http://well.example:443/"))).toMatchObject({ name: "api.example" });
  expect(await curl("-i", "http://ill.example:443/")).toContain("no-healthy-upstream");
});
