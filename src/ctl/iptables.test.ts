/** What an operator types to have traffic captured, and reads; nothing here changes a rule. */
import { expect, test } from "bun:test";
import { systemClock } from "../core/clock.ts";
import { runCtl } from "./run.ts";

async function iptables(...args: readonly string[]) {
  let [out, err] = ["", ""];
  const code = await runCtl(["iptables", "--ipv6=off", ...args], {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    readStdin: async () => "",
    stdinIsTty: false,
    isTty: false,
    columns: 100,
    env: {},
    clock: systemClock,
  });
  return { code, out, err };
}

test("without --apply the rules are printed, as a script that would apply them", async () => {
  const { code, out } = await iptables("-u", "mesh", "-b", "80", "-i", "");
  expect(code).toBe(0);
  expect(out).toBe(`#!/bin/sh -e
iptables-restore --noflush <<'END'
*nat
:MESH_REDIRECT - [0:0]
:MESH_IN_REDIRECT - [0:0]
:MESH_PREROUTING - [0:0]
:MESH_INBOUND - [0:0]
:MESH_OUTPUT - [0:0]
:MESH_PROXY_OUTPUT - [0:0]
-A MESH_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A MESH_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A MESH_PREROUTING -p tcp -j MESH_INBOUND
-A MESH_INBOUND -p tcp --dport 15008 -j RETURN
-A MESH_INBOUND -p tcp --dport 22 -j RETURN
-A MESH_INBOUND -p tcp --dport 15020 -j RETURN
-A MESH_INBOUND -p tcp --dport 15021 -j RETURN
-A MESH_INBOUND -p tcp --dport 15090 -j RETURN
-A MESH_INBOUND -p tcp --dport 80 -j MESH_IN_REDIRECT
-A MESH_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN
-A MESH_OUTPUT -m owner --uid-owner mesh -g MESH_PROXY_OUTPUT
-A MESH_OUTPUT -o lo -j RETURN
-A MESH_OUTPUT -d 127.0.0.1/32 -j RETURN
-A MESH_PROXY_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -j MESH_IN_REDIRECT
-A PREROUTING -j MESH_PREROUTING
-A OUTPUT -j MESH_OUTPUT
COMMIT
END
`);
});

test("names of flags that Istio's users know are understood", async () => {
  const long = await iptables("--envoy-port", "1", "--istio-service-cidr", "10.0.0.0/8");
  expect(long.code).toBe(0);
  expect(long).toEqual(await iptables("-p", "1", "-i", "10.0.0.0/8"));
});

test("TPROXY's routes and nftables are part of the script", async () => {
  const { out } = await iptables("-m", "TPROXY", "--nft");
  expect(out).toStartWith("#!/bin/sh -e\nnft -f - <<'END'\ntable ip mesh\ndelete table ip mesh\n");
  expect(out).toEndWith(
    "END\nip -f inet rule add fwmark 1337 lookup 133\n" +
      "ip -f inet route replace local default dev lo table 133\n" +
      "ip -4 rule add from 127.0.0.0/8 lookup 133\n",
  );
});

test("everything that is wrong is said at once, and nothing is printed", async () => {
  const { code, out, err } = await iptables("-p", "0", "-x", "10.0.0.0/99");
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain('--proxy-port: "0" is not a port from 1 to 65535');
  expect(err).toContain('--outbound-cidrs-exclude: "10.0.0.0/99" is not an address or a block');
});

test("to apply and to remove are two things", async () => {
  const { code, err } = await iptables("--apply", "--remove", "-p", "0");
  expect(code).toBe(2);
  expect(err).toContain("--apply and --remove contradict each other");
});
