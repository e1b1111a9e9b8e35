/**
 * What a proxy sends on: the received head with edits, and nothing that a reader could trip over.
 */
import { expect, test } from "bun:test";
import { FieldId } from "../http/field-id.ts";
import { MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { latin1, octets } from "../testing/http1-stream.ts";
import { HeadWriter } from "./head-writer.ts";
import { scanRequestHead } from "./request-head.ts";
import { scanResponseHead } from "./response-head.ts";

const lines = (text: string): string => text.replaceAll("\n", "\r\n");
const writer = new HeadWriter(new Uint8Array(4096));

function request(text: string): MessageHead {
  const bytes = octets(`\r\n${lines(text)}\r\n\r\n`);
  const head = new MessageHead();
  expect(scanRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
  return head;
}

function response(text: string, method: MethodId = MethodId.get): MessageHead {
  const bytes = octets(`${lines(text)}\r\n\r\n`);
  const head = new MessageHead();
  head.requestMethod = method;
  expect(scanResponseHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
  return head;
}

/** What the steps write, at an offset, with CRLF as "\n". */
function written(steps: (writer: HeadWriter) => void): string {
  writer.begin(7);
  steps(writer);
  const end = writer.end();
  return latin1(writer.out, 7, end).replaceAll("\r\n", "\n");
}

const forward = (head: MessageHead): string =>
  written((to) => {
    if (head.status === 0) to.request(head);
    else to.response(head);
    to.fields(head);
  });

test("a request goes on as it came, letters included", () => {
  const text = "GET /a?b HTTP/1.1\nHOST: a\nX-Trace: 1\naccept: */*\nX-trace: 2";
  expect(forward(request(text))).toBe(`${text}\n\n`);
});

test("a head of one line goes on, and gets an empty Host", () => {
  expect(forward(request("GET / HTTP/1.0"))).toBe("GET / HTTP/1.1\nhost: \n\n");
  expect(forward(response("HTTP/1.1 200 OK"))).toBe("HTTP/1.1 200 OK\n\n");
});

test("the version is always ours", () => {
  expect(forward(request("GET / HTTP/1.2\nHost: a"))).toBe("GET / HTTP/1.1\nHost: a\n\n");
  expect(forward(request("GET / HTTP/1.0\nHost: a\nX: 1"))).toBe(
    "GET / HTTP/1.1\nHost: a\nX: 1\n\n",
  );
  expect(forward(response("HTTP/1.0 200 Fine\nX: 1"))).toBe("HTTP/1.1 200 Fine\nX: 1\n\n");
});

test("a status line always has its second space", () => {
  expect(forward(response("HTTP/1.1 200"))).toBe("HTTP/1.1 200 \n\n");
  expect(forward(response("HTTP/1.1 200 "))).toBe("HTTP/1.1 200 \n\n");
});

test("an absolute target becomes its path", () => {
  const path = (target: string, method = "GET"): string =>
    forward(request(`${method} ${target} HTTP/1.1\nHost: a`)).split("\n")[0]!;
  expect(path("http://a/b?c")).toBe("GET /b?c HTTP/1.1");
  expect(path("http://a")).toBe("GET / HTTP/1.1");
  expect(path("http://a?c")).toBe("GET /?c HTTP/1.1");
  expect(path("http://a", "OPTIONS")).toBe("OPTIONS * HTTP/1.1");
  expect(path("http://a?c", "OPTIONS")).toBe("OPTIONS /?c HTTP/1.1");
});

test("Host comes from an absolute target where an HTTP/1.0 client sent none", () => {
  expect(forward(request("GET http://a:81/ HTTP/1.0"))).toBe("GET / HTTP/1.1\nhost: a:81\n\n");
});

test("what concerns one connection is not sent on", () => {
  const text = `GET / HTTP/1.1
Connection: x-secret, keep-alive
Host: a
X-Secret: 1
Keep-Alive: timeout=5
Proxy-Connection: keep-alive
X-Kept: 1
TE: trailers
Upgrade: h2c
HTTP2-Settings: AAMAAABk`;
  expect(forward(request(text))).toBe("GET / HTTP/1.1\nHost: a\nX-Kept: 1\n\n");
});

test("Connection removes nothing that frames, routes or identifies", () => {
  const kept = `Host: a
Content-Length: 1
Authorization: b
Cookie: c
X-Forwarded-For: d
X-Forwarded-Client-Cert: e
X-Forwarded-Anything: f
Forwarded: g
X-Real-IP: h
traceparent: i
Cache-Control: no-store`;
  const names = kept.split("\n").map((line) => line.slice(0, line.indexOf(":")));
  const text = `POST / HTTP/1.1\n${kept}\nConnection: ${names.join(", ")}`;
  expect(forward(request(text))).toBe(`POST / HTTP/1.1\n${kept}\n\n`);
});

test("Connection removes the fields that it names, and no others", () => {
  const text = "GET / HTTP/1.1\nHost: a\nX-A: 1\nY-A: 2\nx-a: 3\nX-AB: 4\nX^A: 5";
  expect(forward(request(`${text}\nConnection: X-a, x~a`))).toBe(
    "GET / HTTP/1.1\nHost: a\nY-A: 2\nX-AB: 4\nX^A: 5\n\n",
  );
});

test("an underscore is not a hyphen", () => {
  const text = "GET / HTTP/1.1\nHost: a\nKeep_Alive: 1\nContent_Length: 5";
  expect(forward(request(text))).toBe(`${text}\n\n`);
});

test("fields that frame or route are respaced; others stay as they are", () => {
  const text = "POST / HTTP/1.1\nhost:a\nTransfer-Encoding: \t chunked \t\nX:  1 \nCookie:a";
  expect(forward(request(text))).toBe(
    "POST / HTTP/1.1\nhost: a\nTransfer-Encoding: chunked\nX:  1 \nCookie:a\n\n",
  );
  for (const length of ["Content-Length: 3 ", "Content-Length:\t3", "Content-Length:  3"]) {
    expect(forward(request(`PUT / HTTP/1.1\nHost: a\n${length}`))).toEndWith(
      "\nContent-Length: 3\n\n",
    );
  }
});

test("another target, host and more fields", () => {
  const head = request("GET /old HTTP/1.1\nHost: a\nX: 1");
  head.drop(FieldId.host);
  const text = written((to) => {
    to.requestTo(head, octets("/new?q"));
    to.add(octets("host: b\r\n"));
    to.fields(head);
    to.add(octets("x-request-id: 1\r\n"));
    to.close();
  });
  expect(text).toBe("GET /new?q HTTP/1.1\nhost: b\nX: 1\nx-request-id: 1\nconnection: close\n\n");
});

test("prepared lines may come between start line and fields", () => {
  const head = request("GET / HTTP/1.1\nHost: a");
  const text = written((to) => {
    to.request(head);
    to.add(octets("a: b\r\n"));
    to.fields(head);
  });
  expect(text).toBe("GET / HTTP/1.1\na: b\nHost: a\n\n");
});

test("a start line alone is written too", () => {
  const head = request("GET / HTTP/1.1\nHost: a");
  expect(written((to) => to.request(head))).toBe("GET / HTTP/1.1\n\n");
  expect(written((to) => to.response(response("HTTP/1.1 204 No Content")))).toBe(
    "HTTP/1.1 204 No Content\n\n",
  );
});

test("a response is framed anew", () => {
  const head = response("HTTP/1.1 200 OK\nX: 1\nContent-Length: 7");
  head.drop(FieldId.contentLength);
  expect(
    written((to) => {
      to.response(head);
      to.fields(head);
      to.chunked();
    }),
  ).toBe("HTTP/1.1 200 OK\nX: 1\ntransfer-encoding: chunked\n\n");
  for (const length of [0, 9, 10, 12345, Number.MAX_SAFE_INTEGER]) {
    expect(
      written((to) => {
        to.response(head);
        to.fields(head);
        to.contentLength(length);
      }),
    ).toBe(`HTTP/1.1 200 OK\nX: 1\ncontent-length: ${length}\n\n`);
  }
});

test("a response length is written without leading zeros", () => {
  expect(forward(response("HTTP/1.1 200 OK\nContent-Length: 0005"))).toBe(
    "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
  );
  expect(forward(response("HTTP/1.1 200 OK\nContent-Length: 000"))).toEndWith(": 0\n\n");
});

test("all fields of a name are dropped", () => {
  const head = request("GET / HTTP/1.1\nHost: a\nCookie: 1\nCookie: 2\nX: 3\nCookie: 4");
  head.drop(FieldId.cookie);
  expect(forward(head)).toBe("GET / HTTP/1.1\nHost: a\nX: 3\n\n");
});

test("an upgrade says so itself", () => {
  const head = request("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket");
  const text = written((to) => {
    to.request(head);
    to.fields(head);
    to.upgrade();
  });
  expect(text).toBe("GET / HTTP/1.1\nHost: a\nconnection: upgrade\nupgrade: websocket\n\n");
});

test("an output that is too small is never written past, and says so", () => {
  const head = request(`GET / HTTP/1.1\nHost: a\nX: ${"x".repeat(100)}\nContent-Length:5`);
  const whole = forward(head).replaceAll("\n", "\r\n").length + 6;
  for (let size = 0; size <= whole + 1; size++) {
    const backing = new Uint8Array(whole + 64);
    const small = new HeadWriter(backing.subarray(0, size));
    small.begin(0);
    small.request(head);
    small.fields(head);
    small.add(octets("x: 1\r\n"));
    const end = small.end();
    expect(end === -1).toBe(small.overflowed);
    expect(small.overflowed).toBe(size < whole);
    expect(end).toBeLessThanOrEqual(size);
    expect(backing.subarray(size).every((octet) => octet === 0)).toBe(true);
  }
});
