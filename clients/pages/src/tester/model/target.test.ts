import { expect, test } from "vitest";
import { addressHere, target, type Wish } from "./target.ts";

const http = { protocol: "http:" };
const https = { protocol: "https:" };
const wish = (over: Partial<Wish> = {}): Wish => ({ address: "ws://127.0.0.1/ws", subprotocols: "", token: "", authBy: "first frame", ...over });

test("a token goes by the first frame or by a subprotocol, and never in the address", () => {
  const token = "aaa.bbb.ccc";
  expect(target(wish({ token, subprotocols: "chorus.v1" }), http)).toEqual({ url: "ws://127.0.0.1/ws", protocols: ["chorus.v1"], first: '{"type":"auth","token":"aaa.bbb.ccc"}' });
  const protocols = ["chorus.v1", "bearer.aaa.bbb.ccc"];
  expect(target(wish({ token, authBy: "subprotocol" }), http)).toEqual({ url: "ws://127.0.0.1/ws", protocols });
  expect(target(wish({ token, authBy: "subprotocol", subprotocols: "chorus.v1" }), http).protocols).toEqual(protocols);
  expect(target(wish({ subprotocols: " a, b c,,a " }), http)).toEqual({ url: "ws://127.0.0.1/ws", protocols: ["a", "b", "c"] });
});

test.each([
  ["", "enter an address"],
  ["example.com/ws", "is no address"],
  ["http://example.com/ws", "ws:// or wss://, and this one with http://"],
])("the address %j is refused: %s", (address, complaint) => {
  expect(() => target(wish({ address }), http)).toThrow(complaint);
});

test("other mistakes are said before the browser makes a riddle of them", () => {
  expect(() => target(wish({ subprotocols: "a/b" }), http)).toThrow("“a/b” can't be a subprotocol");
  expect(() => target(wish({ token: "a b", authBy: "subprotocol" }), http)).toThrow("send it as first frame");
  expect(() => target(wish({ address: "ws://example.com/" }), https)).toThrow("wss:// only");
  expect(target(wish({ address: "ws://127.0.0.1:8080/" }), https).url).toBe("ws://127.0.0.1:8080/");
  expect(target(wish({ address: " wss://example.com/ws?a=1#part " }), https).url).toBe("wss://example.com/ws?a=1");
});

test("this page's host is reached the way the page was", () => {
  expect(addressHere({ protocol: "https:", host: "chat.example" }, "/ws")).toBe("wss://chat.example/ws");
  expect(addressHere({ protocol: "http:", host: "127.0.0.1:8080" }, "/echo")).toBe("ws://127.0.0.1:8080/echo");
});
