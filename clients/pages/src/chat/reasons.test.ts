import { expect, test } from "vitest";
import { because } from "./reasons.ts";

const HOUR = 3_600_000;
const ended = (code: string, message: string, retryAfterMs?: number) => ({ code, message, retryAfterMs, closeCode: 1008 });

test("each end that stays one has words, wherever it is told", () => {
  for (const code of ["auth_required", "auth_failed", "auth_timeout", "token_expired", "banned", "kicked", "rate_limited", "bad_request", "too_large"]) {
    const said = because(ended(code, code), "connection");
    expect(said).not.toContain("_");
    expect(said).not.toContain(`(${code})`);
    expect([because(ended(code, code), "room"), because(ended(code, code), "deed")], code).toEqual([said, said]);
  }
  expect(because(ended("token_expired", "token_expired"), "room")).toBe("the sign-in is over");
  expect(because(ended("odd", "odd"), "room")).toBe("the server ended the connection (odd)");
});

test("who is thrown out is told by whom, why, and for how long", () => {
  expect(because(ended("banned", "that was rude", HOUR - 10), "room")).toBe("you were banned from this server for 1 h: that was rude");
  expect(because(ended("banned", "banned", 876_000 * HOUR), "connection")).toBe("you were banned from this server");
  expect(because(ended("kicked", "cool down"), "room")).toBe("a moderator ended the connection: cool down");
});

test("who is muted is told for how long, and what the moderator said", () => {
  const muted = { code: "forbidden", message: "this user may not speak in this room for a while: be nice", retryAfterMs: HOUR / 6 };
  expect(because(muted, "deed")).toBe("you may not write here for 10 min: be nice");
  expect(because({ ...muted, message: "this user may not speak in this room for a while", retryAfterMs: 876_000 * HOUR }, "deed")).toBe("you may not write here");
  // What is for developers is not for people.
  expect(because({ code: "forbidden", message: "the token grants no right to write" }, "deed")).toBe("you may not write here");
});

test("the same code means one thing for a room, another for what is done in it", () => {
  const tooLarge = { code: "too_large", message: "data may have 16384 bytes" };
  expect([because(tooLarge, "room"), because(tooLarge, "deed")]).toEqual(["this room is full", "it is too long"]);
  expect(because({ code: "odd", message: "the moon is full" }, "room")).toBe("the moon is full");
  expect(because({ code: "odd", message: "" }, "deed")).toBe("odd");
});
