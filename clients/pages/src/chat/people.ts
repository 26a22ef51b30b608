import type { Member } from "chorus-client";
import type { Entry } from "chorus-client/timeline";

/** What everybody is called, as far as it was ever said: by who is there, and by what they wrote. */
export function namesOf(members: readonly Member[] | undefined, entries: readonly Entry[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const entry of entries) if (entry.kind === "message" && entry.name !== undefined) names.set(entry.from, entry.name);
  for (const { user, name } of members ?? []) if (name !== undefined) names.set(user, name);
  return names;
}

/** A colour of the palette that stays a user's. */
export function hueOf(user: string): number {
  let hash = 7;
  for (const character of user) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 65_537;
  return hash % 8;
}

/** The first letter, for a picture. */
export function initialOf(name: string): string {
  return (Array.from(name.trim())[0] ?? "?").toLocaleUpperCase();
}

/** `Anna`, `Anna and Ben`, `Anna, Ben and 3 others`. */
export function listed(names: readonly string[], most?: number): string {
  return inTurns(names, most).join("");
}

/** The same in parts: a name, what stands behind it, the next name, and so on. */
export function inTurns(names: readonly string[], most = 3): readonly string[] {
  if (names.length <= 1) return names;
  const shown = names.length > most ? names.slice(0, most - 1) : names.slice(0, -1);
  const rest = names.length - shown.length;
  const turns = shown.flatMap((name, index) => (index === 0 ? [name] : [", ", name]));
  return rest === 1 ? [...turns, " and ", ...names.slice(-1)] : [...turns, ` and ${rest} others`];
}

/** A name in a text that can have no elements: its direction is its own, and changes nothing of what stands around it. */
export function isolated(name: string): string {
  return `\u2068${name}\u2069`;
}
