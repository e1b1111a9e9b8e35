/** TLS that does not end at the gateway, beside TLS that does: who gets a connection. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { Edge, type Gateway, serveFields, serviceEntry } from "./edge.ts";
import { Stage, until } from "./process.ts";

const stage = new Stage();
const edge = new Edge(stage);
const closers: (() => unknown)[] = [];
const database = edge.issue("db.example", "*.wild.example");
let both: Gateway;
let passing: Gateway;

const pass = `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: pass
  annotations:
    kubernetes.io/ingress.class: istio
    nginx.ingress.kubernetes.io/ssl-passthrough: "true"
spec:
  rules:
  - host: db.example
    http: { paths: [{ path: /, pathType: Prefix, backend: BACKEND }] }
  - host: "*.wild.example"
    http: { paths: [{ path: /, pathType: Prefix, backend: BACKEND }] }
`.replaceAll("BACKEND", "{ service: { name: db, port: { number: 5433 } } }");

const shop = `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop, annotations: { "kubernetes.io/ingress.class": istio } }
spec:
  tls: [{ hosts: [shop.example], secretName: shop-cert }]
  rules:
  - host: shop.example
    http: { paths: [{ path: /, pathType: Prefix, backend: BACKEND }] }
`.replace("BACKEND", "{ service: { name: shop, port: { number: 80 } } }");

beforeAll(async () => {
  edge.secret("shop-cert", edge.issue("shop.example"));
  const server = createTlsServer({ cert: database.chain, key: database.key }, (socket) => {
    socket.write(`for ${(socket as TLSSocket & { servername: string }).servername}\n`);
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  const { port } = server.address() as { port: number };
  const services =
    serviceEntry("shop", 80, serveFields(stage, "shop")) + serviceEntry("db", 5_433, port, "TLS");
  const file = (name: string, text: string): string => stage.file(name, services + text);
  both = await edge.start(["--standalone", "-f", file("both.yaml", pass + shop)]);
  passing = await edge.start(["--standalone", "-f", file("pass.yaml", pass), "--proxy-protocol"]);
}, 60_000);

afterAll(() => {
  for (const close of closers.splice(0)) close();
  stage.close();
});

/** What the far end says on a connection for that name, and the name in its certificate. */
function ask(socket: Socket, servername: string): Promise<string> {
  return new Promise((resolve) => {
    const tls = connectTls({ socket, servername, ca: edge.root.certificate });
    tls.on("error", (error) => resolve(`refused: ${"code" in error ? error.code : error.message}`));
    tls.on("secureConnect", () => tls.write("and back"));
    let said = "";
    tls.on("data", (bytes) => {
      said += bytes.toString();
      if (!said.endsWith("and back")) return;
      resolve(`${tls.getPeerCertificate().subject.CN}: ${said.replace("\n", ", ")}`);
      tls.end();
    });
  });
}

const dial = ({ https }: Gateway): Socket => connect({ host: "127.0.0.1", port: https });

async function failures({ admin }: Gateway, reason: string): Promise<number> {
  const scrape = await (await fetch(`http://127.0.0.1:${admin}/stats/prometheus`)).text();
  const name = `mesh_tls_handshakes_failed_total{listener="https-443",reason="${reason}"} `;
  const line = scrape.split("\n").find((one) => one.startsWith(name));
  return Number(line?.slice(name.length) ?? 0);
}

test("a name of a service that has TLS itself is passed on, a wildcard's too", async () => {
  for (const name of ["db.example", "a.wild.example"])
    expect(await ask(dial(both), name)).toBe(`db.example: for ${name}, and back`);
});

test("a name with a certificate ends at the gateway, at the same port", async () => {
  expect((await edge.curl(both, "https://shop.example/")).status).toBe(200);
});

test("a name that nobody has is refused, and counted", async () => {
  const before = await failures(both, "unknown-server-name");
  for (const name of ["other.example", "wild.example", "x.db.example"])
    expect(await ask(dial(both), name)).toStartWith("refused: ");
  expect(await failures(both, "unknown-server-name")).toBe(before + 3);
});

test("who asks for nobody gets a certificate where there is one, else nothing", async () => {
  const nameless = (gateway: Gateway, header: string): Promise<string> => {
    const socket = dial(gateway);
    socket.write(header);
    return new Promise((resolve) => {
      const tls = connectTls({ socket, rejectUnauthorized: false });
      tls.on("error", () => resolve("refused"));
      tls.on("secureConnect", () => resolve(String(tls.getPeerCertificate().subject.CN)));
    });
  };
  expect(await nameless(both, "")).toBe("shop.example");
  const before = await failures(passing, "unknown-server-name");
  expect(await nameless(passing, "PROXY UNKNOWN\r\n")).toBe("refused");
  expect(await failures(passing, "unknown-server-name")).toBe(before + 1);
});

test("a hello in many records, in segments of one byte", async () => {
  const cutter = createServer((client) => {
    const far = dial(both);
    far.setNoDelay(true);
    client.once("data", (hello: Buffer) => {
      for (const byte of inRecords(hello, 40)) far.write(Uint8Array.of(byte));
      client.pipe(far);
    });
    far.pipe(client);
    for (const socket of [client, far]) socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => cutter.listen(0, "127.0.0.1", resolve));
  closers.push(() => cutter.close());
  const { port } = cutter.address() as { port: number };
  const said = await ask(connect({ host: "127.0.0.1", port }), "db.example");
  expect(said).toBe("db.example: for db.example, and back");
});

/** The one record of `hello` as several, none longer than `size`. */
function inRecords(hello: Uint8Array, size: number): Uint8Array {
  const records: Uint8Array[] = [];
  for (let at = 5; at < hello.length; at += size) {
    const part = hello.subarray(at, at + size);
    records.push(Uint8Array.of(22, 3, 1, part.length >> 8, part.length & 0xff), part);
  }
  return Buffer.concat(records);
}

test("behind the PROXY protocol the client is whom it names; the log has both names", async () => {
  const socket = dial(passing);
  socket.write("PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n");
  expect(await ask(socket, "db.example")).toBe("db.example: for db.example, and back");
  const logged = (): string => readFileSync(passing.accessLog, "utf8");
  await until("the line", () => logged().includes("203.0.113.9:4711"));
  const line = logged()
    .split("\n")
    .find((one) => one.includes("203.0.113.9:4711"));
  expect(JSON.parse(line!)).toMatchObject({ requested_server_name: "db.example" });
});

test("a service that wants to know who calls is told by the PROXY protocol", async () => {
  for (const version of ["V1", "V2"]) {
    const rules = `${serviceEntry("db", 5_433, passing.https, "TLS")}${pass}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: db }
spec: { host: db, trafficPolicy: { proxyProtocol: { version: ${version} } } }
`;
    const front = await edge.start(["--standalone", "-f", stage.file(`${version}.yaml`, rules)]);
    const socket = dial(front);
    const connected = Promise.withResolvers<number | undefined>();
    socket.once("connect", () => connected.resolve(socket.localPort));
    expect(await ask(socket, "db.example")).toBe("db.example: for db.example, and back");
    const port = await connected.promise;
    const logged = (): string => readFileSync(passing.accessLog, "utf8");
    await until("the line", () => logged().includes(`"127.0.0.1:${port}"`));
  }
}, 30_000);

test("a rule that goes closes the way, and one that comes opens it", async () => {
  const services = readFileSync(`${stage.directory}/both.yaml`, "utf8");
  stage.file("both.yaml", services.replace(pass, ""));
  await until("no way", async () => (await ask(dial(both), "db.example")).startsWith("refused"));
  expect((await edge.curl(both, "https://shop.example/")).status).toBe(200);
  stage.file("both.yaml", services);
  await until("the way", async () => (await ask(dial(both), "db.example")).startsWith("db."));
});
