/** How a connection is waited for until it is known what it speaks. */
import { describe, expect, test } from "bun:test";
import type { TcpSocket } from "../../io/socket.ts";
import { TimerWheel } from "../../io/timer-wheel.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { Detection, type DetectionParts, type HelloReader } from "./detection.ts";

/** "name/protocol" behind the six bytes that say TLS, up to a full stop. */
class PlainHello implements HelloReader {
  #text = "";
  hello: HelloReader["hello"] = undefined;

  push(bytes: Uint8Array): ReturnType<HelloReader["push"]> {
    this.#text += Buffer.from(bytes).toString("latin1");
    if (this.#text.includes("!")) return "malformed";
    if (!this.#text.endsWith(".")) return "reading";
    const [serverName = "", ...protocols] = this.#text.slice(6, -1).split("/");
    this.hello = { serverName, protocols };
    return "complete";
  }
}

function detection(options: Partial<DetectionParts> = {}) {
  const clock = new VirtualClock();
  const events: string[] = [];
  const socket = {
    pause: () => events.push("pause"),
    end: () => events.push("end"),
    terminate: () => events.push("terminate"),
  } as unknown as TcpSocket<unknown>;
  const one = new Detection(
    {
      timers: new TimerWheel(clock),
      declared: "unknown",
      port: 8_080,
      proxyProtocol: "none",
      makeHelloReader: () => new PlainHello(),
      decided: (_socket, { speaks, serverName, protocols, proxied, bytes }, ended) => {
        const words = [speaks, serverName, ...protocols, proxied?.source.address ?? ""];
        const text = JSON.stringify(Buffer.from(bytes).toString("latin1"));
        events.push([...words.filter(Boolean), text, ended ? "ended" : ""].join(" ").trim());
      },
      gone: () => events.push("gone"),
      ...options,
    },
    socket,
  );
  one.begin();
  const say = (text: string): void => one.data(Buffer.from(text, "latin1"));
  return { one, events, clock, say };
}

const HELLO = "\x16\x03\x01\x00\x80\x01";
const PROXY = "PROXY TCP4 192.0.2.1 10.0.0.1 4000 80\r\n";

describe("what is declared is not waited for", () => {
  const rows: readonly (readonly [Partial<DetectionParts>, events: string[]])[] = [
    [{ declared: "tcp" }, ["pause", 'opaque ""']],
    [{ declared: "http" }, ["pause", 'http1 ""']],
    [{ declared: "http2" }, ["pause", 'http2 ""']],
    [{ port: 3_306 }, ["pause", 'opaque ""']],
    [{ declared: "tls", port: 3_306 }, []],
    [{ declared: "tcp", proxyProtocol: "required" }, []],
  ];
  for (const [options, wanted] of rows)
    test(JSON.stringify(options), () => {
      expect(detection(options).events).toEqual(wanted);
    });
});

describe("what is not is told by its first bytes", () => {
  test("all of which are handed on, however they were cut", () => {
    const { say, events } = detection();
    for (const octet of "GET / HTTP/1.1") say(octet);
    expect(events).toEqual([]);
    say("\r\nHost: a\r\n");
    expect(events).toEqual(["pause", 'http1 "GET / HTTP/1.1\\r\\nHost: a\\r\\n"']);
  });

  test("in 100 ms; after that it is passed on as it is", () => {
    const { say, events, clock } = detection();
    say("GET ");
    clock.advance(90);
    expect(events).toEqual([]);
    clock.advance(30);
    expect(events).toEqual(["pause", 'opaque "GET "']);
  });

  test("or nothing, where the server is to speak first", () => {
    const { events, clock } = detection();
    clock.advance(120);
    expect(events).toEqual(["pause", 'opaque ""']);
  });

  test("up to FIN, which is told too", () => {
    const { say, one, events } = detection();
    say("quit");
    one.ended();
    expect(events).toEqual(["pause", 'opaque "quit" ended']);
  });

  test("a connection that says nothing and ends is nobody's", () => {
    const { one, events, clock } = detection();
    one.ended();
    one.closed();
    clock.advance(1_000);
    expect(events).toEqual(["end", "gone"]);
  });

  test("one that is reset is gone, once, and leaves no timer", () => {
    const { one, events, clock, say } = detection();
    say("G");
    one.closed();
    clock.advance(1_000);
    expect(events).toEqual(["gone"]);
    expect(clock.waiting).toBe(0);
  });
});

describe("TLS", () => {
  test("tells the name that is asked for, and the protocols", () => {
    const { say, events } = detection();
    say(HELLO);
    say("api.example/h2/");
    say("http.");
    expect(events).toEqual([
      "pause",
      `tls api.example h2 http ${JSON.stringify(`${HELLO}api.example/h2/http.`)}`,
    ]);
  });

  test("that has begun may take longer, but not for ever", () => {
    const { say, events, clock } = detection();
    say(HELLO);
    clock.advance(4_900);
    expect(events).toEqual([]);
    clock.advance(200);
    expect(events).toEqual(["pause", `opaque ${JSON.stringify(HELLO)}`]);
  });

  test("that is declared may take that time too", () => {
    const { say, events, clock } = detection({ declared: "tls" });
    clock.advance(1_000);
    say(`${HELLO}a.`);
    expect(events.at(-1)).toStartWith("tls a ");
  });

  test("that makes no sense is passed on as it is", () => {
    const { say, events } = detection();
    say(`${HELLO}!`);
    expect(events.at(-1)).toStartWith("opaque ");
  });
});

describe("a header of the PROXY protocol", () => {
  test("tells who the client is, and is no part of what it says", () => {
    const { say, events } = detection({ proxyProtocol: "allowed" });
    say(PROXY.slice(0, 9));
    say(`${PROXY.slice(9)}GET / HTTP/1.1\r\n`);
    expect(events).toEqual(["pause", 'http1 192.0.2.1 "GET / HTTP/1.1\\r\\n"']);
  });

  test("comes before what is declared", () => {
    const { say, events } = detection({ proxyProtocol: "required", declared: "tcp" });
    say(`${PROXY}hi`);
    expect(events).toEqual(["pause", 'opaque 192.0.2.1 "hi"']);
  });

  test("and before TLS", () => {
    const { say, events } = detection({ proxyProtocol: "required" });
    say(`${PROXY}${HELLO}a.`);
    expect(events.at(-1)).toStartWith("tls a 192.0.2.1 ");
  });

  test("may be left out where it is only allowed", () => {
    const { say, events } = detection({ proxyProtocol: "allowed", declared: "tcp" });
    say("hello");
    expect(events).toEqual(["pause", 'opaque "hello"']);
  });

  test("may turn out to be none", () => {
    const { say, events, one } = detection({ proxyProtocol: "allowed" });
    say("PRO");
    one.ended();
    expect(events).toEqual(["pause", 'opaque "PRO" ended']);
    const other = detection({ proxyProtocol: "allowed" });
    for (const octet of "PROPFIND / HTTP/1.1\r\n") other.say(octet);
    expect(other.events.at(-1)).toStartWith("http1 ");
  });

  const refused: readonly (readonly [title: string, said: string])[] = [
    ["that is bad", "PROXY TCP4 1.1.1.1 1.1.1.1 1 x\r\n"],
    ["that is missing", "GET / HTTP/1.1\r\n"],
  ];
  for (const [title, said] of refused)
    test(`${title} ends the connection, where one is required`, () => {
      const { say, events } = detection({ proxyProtocol: "required" });
      say(said);
      expect(events).toEqual(["terminate", "gone"]);
    });

  test("that does not come in time ends it too", () => {
    const { events, clock } = detection({ proxyProtocol: "required", declared: "tcp" });
    clock.advance(120);
    expect(events).toEqual(["terminate", "gone"]);
  });

  test("that is not expected is bytes like others", () => {
    const { say, events } = detection();
    say(PROXY);
    expect(events.at(-1)).toBe(`opaque ${JSON.stringify(PROXY)}`);
  });
});
