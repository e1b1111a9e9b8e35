/**
 * Peers that speak HTTP/2 without TLS, as real processes with one worker each: the upstream is
 * nghttpd, which answers a file, whatever it was sent, and ends it with a trailer if told to.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BODY, launch, nginxConfig, type Peer } from "./peer.ts";

/** What the upstream of a proxy speaks. */
export type UpstreamVersion = "http1" | "http2";

export const GRPC_PATH = "/acme.v1.Reviews/Get";
/** A message of gRPC: not compressed, 120 octets of payload. */
export const grpcMessage = new Uint8Array([0, 0, 0, 0, 120, ...new Array<number>(120).fill(120)]);

export function startNghttpd(directory: string, port: number, trailer = ""): Promise<Peer> {
  const home = join(directory, "nghttpd");
  mkdirSync(join(home, GRPC_PATH, ".."), { recursive: true });
  writeFileSync(join(home, "answer"), BODY);
  writeFileSync(join(home, GRPC_PATH), grpcMessage);
  const ending = trailer === "" ? [] : [`--trailer=${trailer}`];
  const flags = ["--no-tls", "-n1", "-d", home, "-m", "1000", ...ending];
  const command = ["nghttpd", ...flags, String(port)];
  return launch({ name: "nghttpd", directory: home, port, command });
}

export function startHaproxyH2(
  directory: string,
  port: number,
  upstream: number,
  version: UpstreamVersion,
): Promise<Peer> {
  const config = join(directory, "haproxy-h2.cfg");
  const proto = version === "http2" ? " proto h2" : "";
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 4000
  tune.h2.max-concurrent-streams 1000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${port} proto h2
  default_backend out
backend out
  server s1 127.0.0.1:${upstream}${proto}
`,
  );
  return launch({ name: "haproxy", directory, port, command: ["haproxy", "-db", "-f", config] });
}

/** nginx speaks HTTP/2 to an upstream for gRPC only. */
export function startNginxH2(
  directory: string,
  port: number,
  upstream: number,
  version: UpstreamVersion,
): Promise<Peer> {
  const home = join(directory, "nginx-h2");
  mkdirSync(home, { recursive: true });
  const pass =
    version === "http2"
      ? "grpc_pass grpc://u;"
      : 'proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";';
  const proxying = `upstream u { server 127.0.0.1:${upstream}; keepalive 512;
    keepalive_requests 100000000; }
  server { listen 127.0.0.1:${port} http2 backlog=4096; http2_max_concurrent_streams 1000;
    location / { ${pass} } }`;
  writeFileSync(join(home, "nginx.conf"), nginxConfig(home, proxying));
  const command = ["nginx", "-p", home, "-c", join(home, "nginx.conf")];
  return launch({ name: "nginx", directory: home, port, command, worker: true });
}

export function startNghttpx(
  directory: string,
  port: number,
  upstream: number,
  version: UpstreamVersion,
): Promise<Peer> {
  const home = join(directory, "nghttpx");
  mkdirSync(home, { recursive: true });
  const proto = version === "http2" ? ";;proto=h2" : "";
  const empty = join(home, "none.conf");
  writeFileSync(empty, "");
  const flags = [`--conf=${empty}`, "--workers=1", "--frontend-http2-max-concurrent-streams=1000"];
  const ends = [`-f127.0.0.1,${port};no-tls`, `-b127.0.0.1,${upstream}${proto}`];
  const command = ["nghttpx", ...flags, "--accesslog-file=/dev/null", ...ends];
  return launch({ name: "nghttpx", directory: home, port, command, worker: true });
}
