/** The evaluator of rules, by hand-made rules whose effect iptables(8) and its extensions state. */
import { expect, test } from "bun:test";
import { isWithin, type Outcome, type Packet, RuleBook } from "./packet-filter.ts";

const packet: Packet = {
  hook: "OUTPUT",
  protocol: "tcp",
  interface: "eth0",
  source: "10.0.0.1",
  destination: "10.0.0.2",
  sourcePort: 4_000,
  port: 80,
  user: "5",
  group: "6",
  state: "NEW",
  mark: 0,
  connectionMark: 7,
};
const end = "-j REDIRECT --to-ports 9";
const found: Outcome = { redirect: 9 };

function outcome(table: string, rules: readonly string[], some: Partial<Packet> = {}): Outcome {
  const book = new RuleBook();
  book.addScript(`*${table}\n${rules.join("\n")}\nCOMMIT\n`);
  return book.evaluate({ ...packet, ...some });
}

const matches: readonly (readonly [match: string, holds: boolean])[] = [
  ["-p tcp --dport 80", true],
  ["-p udp", false],
  ["-p tcp ! --dport 80", false],
  ["-p tcp -m multiport ! --dports 81,80", false],
  ["-p tcp -m multiport ! --dports 81,82", true],
  ["--sport 4000", true],
  ["-o eth0", true],
  ["! -o eth0", false],
  ["-i eth0", false],
  ["-s 10.0.0.0/31 -d 10.0.0.2", true],
  ["! -d 10.0.0.0/8", false],
  ["-m owner --uid-owner 5", true],
  ["-m owner ! --uid-owner 5", false],
  ["-m owner ! --gid-owner 7 -m owner ! --gid-owner 8", true],
  ["-m owner ! --gid-owner 7 -m owner ! --gid-owner 6", false],
  ["-m conntrack --ctstate RELATED,ESTABLISHED", false],
  ["-m state --state NEW", true],
  ["-m socket", false],
  ["-m mark --mark 7", false],
  ["-m connmark --mark 7", true],
  ["-m mark ! --mark 7", true],
];

test.each([...matches])("%s: %p", (match, holds) => {
  expect(outcome("nat", [`-A OUTPUT ${match} ${end}`])).toEqual(holds ? found : {});
});

const walks: readonly (readonly [what: string, rules: readonly string[], Outcome])[] = [
  [
    "return ends a chain, and its caller goes on",
    ["-A OUTPUT -j A", "-A A -j RETURN", `-A OUTPUT ${end}`],
    found,
  ],
  ["goto does not come back", ["-A OUTPUT -j B", "-A B -g A", "-N A", `-A B ${end}`], {}],
  [
    "but the caller of its caller goes on",
    ["-A OUTPUT -j B", "-A B -g A", "-N A", `-A OUTPUT ${end}`],
    found,
  ],
  ["accept ends the table", ["-A OUTPUT -j A", "-A A -j ACCEPT", `-A OUTPUT ${end}`], {}],
  ["logging changes nothing", ["-A OUTPUT -j LOG --log-prefix x", `-A OUTPUT ${end}`], found],
  ["an inserted rule comes first", [`-A OUTPUT ${end}`, "-I OUTPUT 1 -j RETURN"], {}],
];

test.each([...walks])("%s", (_what, rules, wanted) => {
  expect(outcome("nat", rules)).toEqual(wanted);
});

test("marks are seen by later rules; the first zone stays; addresses change once", () => {
  const mangle = [
    "-A OUTPUT -j MARK --set-mark 3",
    "-A OUTPUT -m mark --mark 3 -j CONNMARK --save-mark",
  ];
  expect(outcome("mangle", mangle)).toEqual({ mark: 3, connectionMark: 3 });
  const zones = ["-A OUTPUT -j CT --zone 1", "-A OUTPUT -j CT --zone 2"];
  expect(outcome("raw", zones)).toEqual({ zone: 1 });
  expect(outcome("nat", [`-A OUTPUT ${end}`], { state: "ESTABLISHED" })).toEqual({});
});

test("nothing is passed over unread", () => {
  expect(() => outcome("nat", [`-A OUTPUT -m time --datestop 1 ${end}`])).toThrow("--datestop");
  expect(() => outcome("nat", ["-A OUTPUT -j MASQUERADE"])).toThrow("MASQUERADE");
});

test("blocks of addresses", () => {
  expect(isWithin("fd00::5", "fd00::/8")).toBe(true);
  expect(isWithin("fd00::5", "fd00::6/127")).toBe(false);
  expect(isWithin("::127.0.0.53", "::7f00:35/128")).toBe(true);
  expect(isWithin("10.0.0.1", "::/0")).toBe(false);
  expect(isWithin("10.0.0.1", "0.0.0.0/0")).toBe(true);
});
