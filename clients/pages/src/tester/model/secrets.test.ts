import { expect, test } from "vitest";
import { hide, hideInAddress } from "./secrets.ts";

test("the token is hidden wherever it stands", () => {
  expect(hide('{"login":"eyJhbGciOi.x.y"}', "eyJhbGciOi.x.y")).toBe('{"login":"eyJh…hidden"}');
  expect(hide("nothing here", "eyJhbGciOi.x.y")).toBe("nothing here");
  // Too short to be told from any other text.
  expect(hide('{"a":"b"}', "a")).toBe('{"a":"b"}');
});

test("so is one that was typed into an auth frame", () => {
  expect(hide('{"type": "auth", "token": "another.long.one"}', "")).toBe('{"type": "auth", "token": "anot…hidden"}');
  expect(hide('{"type":"auth","token":"eyJhbGciOi.x.y"}', "eyJhbGciOi.x.y")).toBe('{"type":"auth","token":"eyJh…hidden"}');
  expect(hide('{"type":"message","data":{"token":"of another kind"}}', "")).toBe('{"type":"message","data":{"token":"of another kind"}}');
});

test("an address loses its credentials", () => {
  expect(hideInAddress("wss://host/ws?room=a&token=eyJhbGciOi.x.y")).toBe("wss://host/ws?room=a&token=hidden");
  expect(hideInAddress("wss://me:secret@host/ws")).toBe("wss://me:hidden@host/ws");
  expect(hideInAddress("ws://host/ws?ticket=12345678")).toBe("ws://host/ws?ticket=hidden");
});
