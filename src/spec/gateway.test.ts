/** What comes in from outside: by host, by path, by TLS, and with whose word. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { lacksOpenssl } from "../testing/tls-echo.ts";
import { asked, Edge, type Gateway, serveFields, serviceEntry } from "./edge.ts";
import { Stage, until } from "./process.ts";
import { TlsLoad } from "./tls-load.ts";
import { expectStrong, sslscan } from "./tls-scan.ts";

const stage = new Stage();
const edge = new Edge(stage);
let gateway: Gateway;
let services: string;

const prefix = (path: string, service: string): string =>
  `{ path: ${path}, pathType: Prefix, ` +
  `backend: { service: { name: ${service}, port: { number: 80 } } } }`;

/** `tls`: host and secret. */
const ingress = (tls: readonly (readonly [host: string, secret: string])[]): string => `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web, annotations: { "kubernetes.io/ingress.class": istio } }
spec:
  tls: ${JSON.stringify(tls.map(([host, secretName]) => ({ hosts: [host], secretName })))}
  rules:
  - host: shop.example
    http: { paths: [${prefix("/cart", "cart")}, ${prefix("/", "shop")}] }
  - host: late.example
    http: { paths: [${prefix("/", "shop")}] }
`;

const help = (name: string, rest: string): string => `---
apiVersion: config.istio.io/v1alpha2
kind: IngressRule
metadata: { name: ${name} }
spec:
  destination: { name: cart }
  precedence: 1
  match: { request: { headers: { authority: { exact: help.example }, uri: { prefix: /faq } } } }
  ${rest}
`;

const redirecting = `
pathNormalization:
  normalization: BASE
  pathWithEscapedSlashesAction: UNESCAPE_AND_REDIRECT
`;

beforeAll(async () => {
  edge.secret("shop-cert", edge.issue("shop.example"));
  edge.secret("help-cert", edge.issue("help.example"));
  services = [
    serviceEntry("shop", 80, serveFields(stage, "shop")),
    serviceEntry("cart", 80, serveFields(stage, "cart")),
  ].join("");
  const rules = [
    services,
    ingress([
      ["shop.example", "shop-cert"],
      ["late.example", "late-cert"],
    ]),
    help("help", "port: 80"),
    help("help-secure", "port: 443\n  tlsSecret: help-cert.default"),
  ];
  const file = stage.file("rules.yaml", rules.join(""));
  gateway = await edge.start(["--standalone", "-f", file]);
}, 60_000);

afterAll(() => stage.close());

test("requests go by host and path, of Ingress and of IngressRule", async () => {
  const rows: readonly (readonly [url: string, name: string])[] = [
    ["http://shop.example/", "shop"],
    ["http://shop.example/cart/1", "cart"],
    ["http://shop.example/carts", "shop"],
    ["http://help.example/faq", "cart"],
  ];
  for (const [url, name] of rows)
    expect([url, asked(await edge.curl(gateway, url)).name]).toEqual([url, name]);
});

test("what no rule lets in is 404", async () => {
  for (const url of ["http://help.example/other", "http://elsewhere.example/"]) {
    const { status, headers } = await edge.curl(gateway, url);
    expect([url, status, headers.get("x-mesh-reason")]).toEqual([url, 404, "no-route"]);
  }
});

test.skipIf(sslscan.skipped)("sslscan finds nothing weak on its port for TLS", async () => {
  await expectStrong(stage, `127.0.0.1:${gateway.https}`, ["--sni-name=shop.example"]);
});

/** What the service was told by a request over TLS behind a header of version 1. */
async function toldBehindTls(port: number): Promise<string> {
  const tcp = connect({ host: "127.0.0.1", port });
  tcp.write("PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n");
  const tls = connectTls({ socket: tcp, servername: "shop.example", ca: edge.root.certificate });
  tls.write("GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
  return await text(tls);
}

test("behind a balancer that speaks the PROXY protocol the client is whom it names", async () => {
  const topology = stage.file(
    "proxied.yaml",
    "kind: MeshConfig\ndefaultConfig: { gatewayTopology: { proxyProtocol: {} } }\n",
  );
  const rules = stage.file(
    "proxied-rules.yaml",
    services + ingress([["shop.example", "shop-cert"]]),
  );
  const flagged = ["--standalone", "-f", rules, "--proxy-protocol"];
  for (const args of [["--standalone", "-f", rules, "-f", topology], flagged]) {
    const other = await edge.start(args);
    for (const url of ["http://shop.example/", "https://shop.example/"]) {
      const own = asked(await edge.curl(other, url, "--haproxy-protocol"));
      expect(own.fields["x-forwarded-for"]).toBe("127.0.0.1");
      const { status } = await edge.curl(other, url);
      expect([url, status]).toEqual([url, 0]);
    }
    expect(await toldBehindTls(other.https)).toContain('"x-forwarded-for":"203.0.113.9"');
    const scrape = await (await fetch(`http://127.0.0.1:${other.admin}/stats/prometheus`)).text();
    expect(scrape).toContain(
      'mesh_proxy_header_refused_total{listener="https-443",reason="missing"} 1',
    );
    other.running.child.kill();
  }
}, 60_000);

test("nobody is given a tunnel", async () => {
  const url = "http://shop.example/";
  const proxy = `http://127.0.0.1:${gateway.http}`;
  const { error } = await edge.curl(gateway, url, "--proxytunnel", "--proxy", proxy);
  expect(error).toContain("405");
});

test("what a stranger claims of himself goes no further", async () => {
  const claims = [
    "x-forwarded-for: 10.0.0.1",
    "x-forwarded-proto: https",
    "x-forwarded-host: admin.example",
    "x-forwarded-client-cert: Hash=00;URI=spiffe://mesh/ns/a/sa/admin",
    "x-envoy-max-retries: 9",
    "x-mesh-anything: 1",
    "forwarded: for=10.0.0.1",
  ].flatMap((line) => ["-H", line]);
  for (const [url, proto] of [
    ["http://shop.example/", "http"],
    ["https://shop.example/", "https"],
  ] as const) {
    const { fields } = asked(await edge.curl(gateway, url, ...claims));
    const known = Object.entries(fields).filter(([name]) => /^(x-|forwarded)/.test(name));
    expect(Object.fromEntries(known)).toEqual({
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": proto,
    });
  }
});

test("each name gets its own certificate, and either version of HTTP", async () => {
  for (const [url, name] of [
    ["https://shop.example/", "shop"],
    ["https://help.example/faq", "cart"],
  ] as const)
    for (const [flag, version] of [
      ["--http2", "HTTP/2"],
      ["--http1.1", "HTTP/1.1"],
    ] as const) {
      const answer = await edge.curl(gateway, url, flag);
      expect([answer.error, answer.status]).toEqual(["", 200]);
      expect([url, answer.version, asked(answer).name]).toEqual([url, version, name]);
    }
});

test("the access log tells how a client came", async () => {
  await edge.curl(gateway, "https://shop.example/logged", "--http2");
  await until("its line", () => readFileSync(gateway.accessLog, "utf8").includes("/logged"));
  const lines = readFileSync(gateway.accessLog, "utf8").trim().split("\n");
  const line = JSON.parse(lines.find((one) => one.includes("/logged"))!);
  expect(line).toMatchObject({
    protocol: "HTTP/2",
    requested_server_name: "shop.example",
    downstream_tls_version: "TLSv1.3",
    downstream_tls_alpn: "h2",
  });
});

test("a missing certificate is nobody else's trouble, and is used when it comes", async () => {
  expect(gateway.running.output()).toContain("late-cert/tls.crt: it cannot be read (ENOENT)");
  const late = "https://late.example/";
  expect((await edge.curl(gateway, late)).error).toContain("unrecognized name");
  expect((await edge.curl(gateway, "https://shop.example/")).status).toBe(200);
  edge.secret("late-cert", edge.issue("late.example"));
  await until("its certificate", async () => (await edge.curl(gateway, late)).status === 200);
});

test.skipIf(lacksOpenssl)("names that no rule knows are refused, and old versions", async () => {
  const rows: readonly (readonly [args: string[], said: RegExp])[] = [
    [["-servername", "other.example"], /unrecognized name/],
    [
      ["-servername", "shop.example", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
      /alert|wrong version/,
    ],
    [["-servername", "shop.example", "-tls1_2"], /Protocol *: TLSv1\.2/],
    [["-servername", "shop.example", "-alpn", "h2,http/1.1"], /ALPN protocol: h2/],
    [["-servername", "shop.example", "-alpn", "spdy"], /no application protocol/],
    [["-noservername"], /subject=CN = help\.example/],
  ];
  for (const [args, said] of rows) {
    const running = stage.run([
      ...["openssl", "s_client", "-connect", `127.0.0.1:${gateway.https}`, ...args],
    ]);
    await running.child.exited;
    await until(`${said} of ${args.join(" ")}`, () => said.test(running.output()));
  }
  const scrape = await (await fetch(`http://127.0.0.1:${gateway.admin}/stats/prometheus`)).text();
  expect(scrape).toMatch(
    /mesh_tls_handshakes_failed_total\{listener="https-443",reason="version-refused"\} [1-9]/,
  );
  expect(scrape).toMatch(
    /mesh_certificate_expiration_timestamp_seconds\{certificate="shop-cert.default"\} [1-9]/,
  );
});

test("a certificate is replaced under load, and no request fails", async () => {
  const load = new TlsLoad({
    port: gateway.https,
    host: "shop.example",
    ca: edge.root.certificate,
  });
  await load.reach(200);
  for (let i = 0; i < 5; i++) {
    const before = load.serials.size;
    edge.secret("shop-cert", edge.issue("shop.example"));
    await until("the new certificate", () => load.serials.size > before);
  }
  const { failures, requests } = await load.stop();
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(500);
}, 60_000);

test("a gateway is restarted under load, and no request fails", async () => {
  const load = new TlsLoad({
    port: gateway.https,
    host: "shop.example",
    ca: edge.root.certificate,
  });
  await load.reach(100);
  const former = gateway;
  gateway = await edge.startAgain(former);
  expect(await former.running.child.exited).toBe(0);
  await load.reach(200);
  expect((await load.stop()).failures).toEqual([]);
  expect((await edge.curl(gateway, "http://shop.example/")).status).toBe(200);
}, 60_000);

test("a redirect to the one form of a path stays with TLS", async () => {
  const file = stage.file("redirecting.yaml", services + ingress([["shop.example", "shop-cert"]]));
  const settings = stage.file("mesh.yaml", redirecting);
  const other = await edge.start(["--standalone", "-f", file, "-f", settings]);
  for (const scheme of ["http", "https"]) {
    const { status, headers } = await edge.curl(other, `${scheme}://shop.example/a%2Fb?c`);
    expect([status, headers.get("location")]).toEqual([307, `${scheme}://shop.example/a/b?c`]);
  }
});

test("clients prove who they are where that is required, and their service is told", async () => {
  const file = stage.file("mutual.yaml", services + ingress([["shop.example", "shop-cert"]]));
  const other = await edge.start([
    ...["--standalone", "-f", file, "--client-certificates", "required"],
  ]);
  const url = "https://shop.example/";
  const claim = ["-H", "x-forwarded-client-cert: Hash=0;URI=spiffe://mesh/ns/a/sa/admin"];
  const { fields } = asked(await edge.curl(other, url, ...claim, ...edge.client("ann")));
  expect(fields["x-forwarded-client-cert"]).toMatch(
    /^Hash=[0-9a-f]{64};Subject="CN=ann";URI=spiffe:\/\/mesh\/ns\/a\/sa\/ann$/,
  );
  const stranger = edge.client("eve", new CertificateAuthority("Stranger"));
  for (const args of [[], stranger]) expect((await edge.curl(other, url, ...args)).status).toBe(0);
});

for (const threads of [1, 3])
  test(`ports follow the rules, a taken one changes nothing; threads: ${threads}`, async () => {
    const plain = services + ingress([]);
    const secured = services + ingress([["shop.example", "shop-cert"]]);
    const name = `changing-${threads}/rules.yaml`;
    const file = stage.file(name, plain);
    const concurrency = ["--concurrency", String(threads)];
    const other = await edge.start(["--standalone", "-f", file, ...concurrency]);
    const secure = "https://shop.example/";
    const http = async () => (await edge.curl(other, "http://shop.example/")).status;
    expect([(await edge.curl(other, secure)).status, await http()]).toEqual([0, 200]);
    stage.file(name, secured);
    await until("port 443", async () => (await edge.curl(other, secure)).status === 200);
    for (let i = 0; i < 9; i++) expect((await edge.curl(other, secure)).status).toBe(200);
    stage.file(name, plain);
    await until("no port 443", async () => (await edge.curl(other, secure)).status === 0);
    const holder = Bun.listen({ hostname: "127.0.0.1", port: other.https, socket: { data() {} } });
    stage.file(name, secured);
    const refused = `127.0.0.1:${other.https} is taken: choose another with --https-port`;
    await until("the refusal", () => other.running.output().includes(refused));
    for (let i = 0; i < 9; i++) expect(await http()).toBe(200);
    holder.stop(true);
    stage.file(name, secured + help("help", "port: 80"));
    await until("the port", async () => (await edge.curl(other, secure)).status === 200);
  }, 60_000);
