/** Roots for the manager, in a file that somebody else keeps up to date: a mounted ConfigMap. */
import { readFileSync, statSync } from "node:fs";

const FILE_BYTES_MAX = 1 << 20;
const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

export class RootFile {
  readonly #path: string;
  #pems: readonly string[] = [];
  /** Of what was read last. */
  #mark = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** Read again when the file has changed; while it cannot be read, as it was. */
  get pems(): readonly string[] {
    const found = statSync(this.#path, { throwIfNoEntry: false });
    if (found === undefined || found.size > FILE_BYTES_MAX) return this.#pems;
    const mark = `${found.ino} ${found.mtimeMs} ${found.size}`;
    if (mark === this.#mark) return this.#pems;
    this.#mark = mark;
    const pems = readFileSync(this.#path, "latin1").match(BLOCK);
    if (pems !== null) this.#pems = pems;
    return this.#pems;
  }
}
