/** Roots in a file: taken as they change, and never less than they were. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { RootFile } from "./root-file.ts";

const directory = mkdtempSync(join(tmpdir(), "mesh-roots-"));
afterAll(() => rmSync(directory, { recursive: true }));
const [one, two] = [new CertificateAuthority("One"), new CertificateAuthority("Two")];

test("another file of that name counts; none, or one without a certificate, does not", () => {
  const path = join(directory, "root-cert.pem");
  const file = new RootFile(path);
  expect(file.pems).toEqual([]);
  writeFileSync(path, one.certificate);
  expect(file.pems.map((pem) => pem.trim())).toEqual([one.certificate.trim()]);
  writeFileSync(`${path}.new`, `# both\n${one.certificate}${two.certificate}`);
  renameSync(`${path}.new`, path);
  expect(file.pems).toHaveLength(2);
  rmSync(path);
  expect(file.pems).toHaveLength(2);
  writeFileSync(path, "nothing of the kind");
  expect(file.pems).toHaveLength(2);
});
