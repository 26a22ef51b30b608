import { expect, test } from "vitest";
import { guest, tokenIn } from "./identity.ts";

test("a guest's id is of the protocol's letters, and not another's", () => {
  for (const [name, base] of [["Anna", "anna"], ["Tomás Ó Sé", "tomas-o-se"], ["李", "guest"], ["--", "guest"], ["x".repeat(90), "x".repeat(40)]] as const) {
    const one = guest(name, undefined);
    expect(one).toMatchObject({ kind: "guest", name });
    expect(one.kind === "guest" && one.user).toMatch(new RegExp(`^${base}-[a-z0-9]{4}$`));
  }
});

test("the same name stays the same user, another is another", () => {
  const anna = guest("Anna", undefined);
  expect(guest("Anna", anna)).toBe(anna);
  expect(guest("Ben", anna)).not.toBe(anna);
  expect(guest("Anna", { kind: "cookie" })).toMatchObject({ kind: "guest" });
});

test("a token is found in what was pasted", () => {
  const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln_-";
  expect(tokenIn(token)).toBe(token);
  expect(tokenIn(` Authorization: Bearer ${token}\n`)).toBe(token);
  expect(tokenIn("no token")).toBeUndefined();
});
