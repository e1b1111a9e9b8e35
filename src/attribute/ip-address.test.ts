/** IP addresses as text. */
import { expect, test } from "bun:test";
import { formatIpAddress, parseIpAddress, parseShortestIpAddress } from "./ip-address.ts";

test.each([
  ["1.2.3.4", "1.2.3.4"],
  ["::ffff:1.2.3.4", "1.2.3.4"],
  ["::", "::"],
  ["::1", "::1"],
  ["2001:DB8::0:1", "2001:db8::1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
])("the address %p is written %p", (written, text) => {
  expect(formatIpAddress(parseIpAddress(written)!)).toBe(text);
});

test.each([
  "",
  "1.2.3",
  "1.2.3.04",
  "1.2.3.256",
  "1::2::3",
  "12345::",
  ":1",
  "1.2.3.4:80",
  "::1%lo",
])("%p is no address", (written) => {
  expect(parseIpAddress(written)).toBeUndefined();
  expect(parseShortestIpAddress(written)).toBeUndefined();
});

test.each([
  ["1.2.3.4", "01020304"],
  ["::ffff:1.2.3.4", "01020304"],
  ["::1.2.3.4", "00000000000000000000000001020304"],
  ["2001:db8::1", "20010db8000000000000000000000001"],
])("%p has the bytes %s at least", (written, bytes) => {
  expect(parseShortestIpAddress(written)?.toHex()).toBe(bytes);
});
