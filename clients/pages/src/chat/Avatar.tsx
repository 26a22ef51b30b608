import { hueOf, initialOf } from "./people.ts";

interface AvatarProps {
  readonly user: string;
  readonly name: string;
  readonly size?: "m" | "s" | "xs";
}

/** A letter in the user's colour; the name stands beside it. */
export function Avatar({ user, name, size = "m" }: AvatarProps) {
  return (
    <span className={`avatar avatar-${size} hue-${hueOf(user)}`} aria-hidden="true">
      {initialOf(name)}
    </span>
  );
}
