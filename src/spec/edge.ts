/**
 * A gateway on a stage, with what a client outside has: curl, its own idea of who the hosts are,
 * and a root certificate that it trusts.
 */
import { join } from "node:path";
import { CertificateAuthority, type Issued } from "../testing/certificate-authority.ts";
import { freePorts } from "../testing/free-port.ts";
import { status } from "./mesh.ts";
import { type Running, type Stage, until } from "./process.ts";

export interface Gateway {
  readonly running: Running;
  readonly http: number;
  readonly https: number;
  readonly admin: number;
  readonly accessLog: string;
  readonly args: readonly string[];
}

export interface Answer {
  readonly code: number;
  readonly status: number;
  readonly version: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  readonly error: string;
}

/** An application that says its name and the fields it was asked with; returns its port. */
export function serveFields(stage: Stage, name: string): number {
  return stage.serve((request) => {
    const { pathname, search } = new URL(request.url);
    const fields = Object.fromEntries(request.headers);
    return Response.json({ name, path: pathname + search, fields });
  });
}

export class Edge {
  readonly root = new CertificateAuthority("Edge root");
  readonly #stage: Stage;
  readonly #ca: string;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#ca = stage.file("ca.pem", this.root.certificate);
  }

  /** Where certificates of gateways are. */
  get directory(): string {
    return join(this.#stage.directory, "certificates");
  }

  /** Writes a secret as it is mounted. */
  secret(name: string, { chain, key }: Issued): void {
    this.#stage.file(`certificates/default/${name}/ca.crt`, this.root.certificate);
    this.#stage.file(`certificates/default/${name}/tls.crt`, chain);
    this.#stage.file(`certificates/default/${name}/tls.key`, key);
  }

  /** A client's certificate, as arguments of curl. */
  client(name: string, from = this.root): readonly string[] {
    const { chain, key } = from.issue({ name, for: [`URI:spiffe://mesh/ns/a/sa/${name}`] });
    const file = (kind: string, text: string) => this.#stage.file(`client-${name}.${kind}`, text);
    return ["--cert", file("pem", chain), "--key", file("key", key)];
  }

  issue(...names: readonly string[]): Issued {
    return this.root.issue({ name: names[0]!, for: names.map((name) => `DNS:${name}`) });
  }

  async start(args: readonly string[]): Promise<Gateway> {
    const [http, https, admin, readiness] = freePorts(4);
    const accessLog = join(this.#stage.directory, `access-${http}.log`);
    const all = [
      ...["proxy", "--mode", "gateway", "--certificates", this.directory],
      ...["--http-port", `127.0.0.1:${http}`, "--https-port", `127.0.0.1:${https}`],
      ...["--admin", `127.0.0.1:${admin}`, "--readiness", `127.0.0.1:${readiness}`],
      ...["--state-dir", join(this.#stage.directory, `state-${http}`), "--drain-seconds", "2"],
      ...["--access-log", accessLog, "--access-log-encoding", "JSON", "--log-level", "debug"],
      ...args,
    ];
    const running = this.#stage.mesh(all);
    await until(
      `the gateway to be ready; it said: ${running.output()}`,
      async () => (await status(readiness!, "/healthz/ready")) === 200,
    );
    return { running, http: http!, https: https!, admin: admin!, accessLog, args: all };
  }

  /** A successor that takes the ports over, without a wait. */
  async startAgain(former: Gateway): Promise<Gateway> {
    const running = this.#stage.mesh([...former.args, "--restart"]);
    await until("the successor", () => running.output().includes(" ready "));
    return { ...former, running };
  }

  /** `url` with the port that clients know: "https://shop.example/a". */
  async curl(gateway: Gateway, url: string, ...args: readonly string[]): Promise<Answer> {
    const { hostname, protocol } = new URL(url);
    const secure = protocol === "https:";
    const port = secure ? gateway.https : gateway.http;
    const from = `${hostname}:${secure ? 443 : 80}`;
    const child = Bun.spawn(
      [
        ...["curl", "-sS", "-i", "--max-time", "10", "--path-as-is", "--cacert", this.#ca],
        ...["--connect-to", `${from}:127.0.0.1:${port}`, ...args, url],
      ],
      { stdout: "pipe", stderr: "pipe" },
    );
    const [out, error] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    const end = out.indexOf("\r\n\r\n");
    const [line = "", ...fields] = out.slice(0, Math.max(end, 0)).split("\r\n");
    const [version = "", code = "0"] = line.split(" ");
    const headers = new Map(
      fields.map((field) => {
        const colon = field.indexOf(":");
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
      }),
    );
    const body = end === -1 ? "" : out.slice(end + 4);
    return { code: await child.exited, status: Number(code), version, headers, body, error };
  }
}

/** What an application of serveFields was asked. */
export function asked({ body }: Answer): {
  readonly name: string;
  readonly path: string;
  readonly fields: Readonly<Record<string, string>>;
} {
  return JSON.parse(body);
}

/** A service that everybody knows, at ports of this host. */
export function serviceEntry(name: string, port: number, to: number, protocol = "HTTP"): string {
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${port}, name: ${protocol.toLowerCase()}, protocol: ${protocol} }]
  endpoints: [{ address: 127.0.0.1, ports: { ${protocol.toLowerCase()}: ${to} } }]
`;
}
