/** How `mesh ctl` says who it is, and what it believes: flags, environment, files. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../core/clock.ts";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { openSecureApi } from "../testing/secure-api.ts";
import { call, managerAt } from "./client.ts";
import { CtlError } from "./command.ts";
import { type ManagerArguments, managerAccess } from "./manager-access.ts";
import type { CtlIo } from "./terminal.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const PIN = "A".repeat(43);
const TOKEN = `mesh-access.id.secret.${PIN}`;
const HTTPS = "https://manager.example:15012";

function io(env: Readonly<Record<string, string>> = {}): CtlIo {
  return {
    ...{ stdout: () => {}, stderr: () => {}, readStdin: async () => "", stdinIsTty: false },
    ...{ isTty: false, columns: 80, env, clock: systemClock },
  };
}

function file(name: string, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "mesh-ctl-"));
  closing.push(() => rmSync(directory, { recursive: true }));
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

/** What it would show, and believe. */
function shown(args: ManagerArguments, env: Readonly<Record<string, string>> = {}, url = HTTPS) {
  try {
    const { credential, interceptors } = managerAccess(url, args, io(env));
    return {
      pin: credential.rootPin(),
      roots: credential.roots().length,
      certificate: credential.certificate()?.chainPem ?? "",
      token: interceptors.length === 1,
    };
  } catch (thrown) {
    if (!(thrown instanceof CtlError)) throw thrown;
    return `${thrown.exitCode}: ${thrown.message}`;
  }
}

describe("who one is", () => {
  const nothing = { pin: "", roots: 0, certificate: "", token: false };

  test("is a token, in a file or the environment; the flag counts first", () => {
    const path = file("token", `${TOKEN}\n`);
    const by = { ...nothing, pin: PIN, token: true };
    expect(shown({ token: path })).toEqual(by);
    expect(shown({}, { MESH_TOKEN: TOKEN })).toEqual(by);
    expect(shown({}, { MESH_TOKEN_FILE: path })).toEqual(by);
    expect(shown({ token: path }, { MESH_TOKEN: "mesh-access.other.one" })).toEqual(by);
    expect(shown({}, {}, "http://127.0.0.1:15010")).toEqual(nothing);
  });

  test("is a certificate with its key", () => {
    const [cert, key] = [file("cert", "chain"), file("key", "key")];
    const http = "http://127.0.0.1:15010";
    expect(shown({ cert, key }, {}, http)).toMatchObject({ certificate: "chain" });
    expect(shown({}, { MESH_CERT: cert, MESH_KEY: key }, http)).toMatchObject({
      certificate: "chain",
    });
    expect(shown({ cert })).toBe("2: --cert needs --key");
  });

  test("is a mistake where a file is missing or holds something else", () => {
    expect(shown({ token: "/no/such/file" })).toStartWith("2: --token /no/such/file: ENOENT");
    expect(shown({ token: file("token", "two words") })).toBe(
      "2: --token: what is in the file is no token",
    );
    expect(shown({ ca: file("ca", "nonsense") })).toMatch(/^2: --ca .* no certificate in it$/);
  });
});

test("by https the manager has to be known by a token or by roots", () => {
  expect(shown({})).toBe(`2: how is ${HTTPS} to be known as the manager?`);
  expect(shown({}, { MESH_TOKEN: "mesh-access.no.pin" })).toStartWith("2: how is");
  const ca = file("ca", new CertificateAuthority().certificate.repeat(2));
  expect(shown({ ca })).toMatchObject({ roots: 2 });
  expect(shown({}, { MESH_CA: ca })).toMatchObject({ roots: 2 });
});

describe("a call by https", () => {
  async function ask(ca: string, manager: string): Promise<string> {
    const to = managerAt({ manager, ca: file("ca", ca) }, io());
    return await call(to, to.status.getVersion({})).then(
      () => "done",
      (thrown) => (thrown instanceof CtlError ? `${thrown.exitCode}: ${thrown.message}` : "?"),
    );
  }

  test("says calmly that nobody answers, or that it is not the manager", async () => {
    const { server, authority } = await openSecureApi();
    closing.push(() => server.close());
    const url = `https://127.0.0.1:${server.port}`;
    const another = new CertificateAuthority().certificate;
    expect(await ask(another, url)).toMatch(/^3: who answers at .* is not a manager that is trus/);
    expect(await ask(authority.certificate, url)).toMatch(/^1: what answers at .* does not know/);
    await server.close();
    expect(await ask(authority.certificate, url)).toBe(`3: no manager answers at ${url}`);
  });
});
