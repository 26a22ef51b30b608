import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const css = readFileSync(new URL("./theme.css", import.meta.url), "utf8");
const colours = new Map(
  Array.from(css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g), ([, name, light, dark]) => [name ?? "", [light ?? "", dark ?? ""] as const]),
);

/** WCAG 2: the relative luminance of a colour. */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(text: string, ground: string): readonly number[] {
  return [0, 1].map((theme) => {
    const [one, other] = [text, ground].map((name) => luminance(colours.get(name)?.[theme] ?? "missing"));
    const [light, dark] = [Math.max(one ?? NaN, other ?? NaN), Math.min(one ?? NaN, other ?? NaN)];
    return (light + 0.05) / (dark + 0.05);
  });
}

const GROUNDS = ["ground", "surface", "raised", "sunken", "hover", "selected"];
const HUES = Array.from({ length: 8 }, (_, number) => `hue-${number}`);

const text = [
  ...["ink", "muted", "accent"].flatMap((ink) => GROUNDS.map((ground) => [ink, ground] as const)),
  ...["good", "warn", "bad", "info"].flatMap((tone) => [tone, "ink"].flatMap((ink) => [[ink, `${tone}-ground`] as const])),
  ...["good", "warn", "bad", "info", ...HUES].flatMap((ink) => ["ground", "surface", "raised"].map((ground) => [ink, ground] as const)),
  ["on-accent", "accent"] as const,
  ["on-accent", "accent-strong"] as const,
];

test.each(text)("%s on %s can be read in both themes", (ink, ground) => {
  for (const ratio of contrast(ink, ground)) expect(ratio).toBeGreaterThanOrEqual(4.5);
});

test.each(GROUNDS)("the edge of a control stands out from %s", (ground) => {
  for (const ratio of contrast("edge", ground)) expect(ratio).toBeGreaterThanOrEqual(3);
});
