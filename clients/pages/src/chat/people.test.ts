import { expect, test } from "vitest";
import { hueOf, initialOf, inTurns, isolated, listed } from "./people.ts";

test("people are listed as one says it", () => {
  expect(listed([])).toBe("");
  expect(listed(["Anna"])).toBe("Anna");
  expect(listed(["Anna", "Ben"])).toBe("Anna and Ben");
  expect(listed(["Anna", "Ben", "Ida"])).toBe("Anna, Ben and Ida");
  expect(listed(["Anna", "Ben", "Ida", "Kai", "Tom"])).toBe("Anna, Ben and 3 others");
});

test("a user keeps a colour, and a letter may be any", () => {
  expect(hueOf("anna-1234")).toBe(hueOf("anna-1234"));
  expect(new Set(Array.from({ length: 50 }, (_, number) => hueOf(`user-${number}`))).size).toBe(8);
  expect([initialOf("anna"), initialOf(" élise"), initialOf("😀x"), initialOf("")]).toEqual(["A", "É", "😀", "?"]);
});

test("names in a list stand at every second place, and each can have its own direction", () => {
  expect(inTurns(["Anna", "Ben", "Ida"])).toEqual(["Anna", ", ", "Ben", " and ", "Ida"]);
  expect(inTurns(["Anna", "Ben", "Ida", "Kai", "Tom"])).toEqual(["Anna", ", ", "Ben", " and 3 others"]);
  expect(listed(["שרה", "Ben"].map(isolated))).toBe("\u2068שרה\u2069 and \u2068Ben\u2069");
});
