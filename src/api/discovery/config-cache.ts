/**
 * The last good configuration on disk, so that a proxy starts and serves while the manager is away.
 * One file for each node, replaced as a whole: a reader sees the former or the new one, never a
 * part. A damaged or foreign file counts as none: it is a cache.
 */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ProxyConfig, ProxyConfigSchema } from "../gen/mesh/v1/proxy_config_pb.ts";

/** Begins every file, so that a later layout is told from this one. */
const MAGIC = "mesh-config-1\n";

export class ConfigCache {
  readonly #directory: string;
  readonly path: string;
  #last: Promise<void> = Promise.resolve();
  /** The newest one not yet written: older ones that wait are never written. */
  #wanted: ProxyConfig | undefined;

  /** `key` names the node: the same for every start of one proxy, different for two proxies. */
  constructor(directory: string, key: string) {
    this.#directory = directory;
    this.path = join(directory, `${key.replace(/[^A-Za-z0-9._-]/g, "_")}.config`);
  }

  /** Rejects where the disk refuses; what was there stays. */
  store(config: ProxyConfig): Promise<void> {
    this.#wanted = config;
    const next = this.#last.then(() => this.#storeWanted());
    this.#last = next.catch(() => undefined);
    return next;
  }

  async load(): Promise<ProxyConfig | undefined> {
    const bytes = await readFile(this.path).catch(() => undefined);
    if (bytes === undefined || bytes.length < MAGIC.length + 8) return undefined;
    if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) return undefined;
    const sum = bytes.readBigUInt64BE(MAGIC.length);
    const body = bytes.subarray(MAGIC.length + 8);
    if (checksum(body) !== sum) return undefined;
    try {
      return fromBinary(ProxyConfigSchema, body);
    } catch {
      return undefined;
    }
  }

  async #storeWanted(): Promise<void> {
    const config = this.#wanted;
    this.#wanted = undefined;
    if (config !== undefined) await this.#replace(config);
  }

  async #replace(config: ProxyConfig): Promise<void> {
    const body = toBinary(ProxyConfigSchema, config);
    const head = Buffer.alloc(MAGIC.length + 8);
    head.write(MAGIC, "latin1");
    head.writeBigUInt64BE(checksum(body), MAGIC.length);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const temporary = `${this.path}.${process.pid}.new`;
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writev([head, body]);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.path);
  }
}

function checksum(bytes: Uint8Array): bigint {
  return BigInt.asUintN(64, BigInt(Bun.hash(bytes)));
}
