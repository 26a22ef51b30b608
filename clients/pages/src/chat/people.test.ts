import { expect, test } from "vitest";
import { hueOf, initialOf, listed } from "./people.ts";

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
