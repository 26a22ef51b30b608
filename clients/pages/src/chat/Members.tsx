import "./Members.css";
import type { Presence } from "chorus-client";
import { StatusDot } from "../ui/Badge.tsx";
import { Avatar } from "./Avatar.tsx";

interface MembersProps {
  readonly presence: Presence;
  readonly typing: readonly string[];
  readonly me: string | undefined;
  /** Whether it is told now; without a connection it is what was told last. */
  readonly live: boolean;
}

/** Who is in the room now. */
export function Members({ presence: { count, members }, typing, me, live }: MembersProps) {
  const sorted = members?.toSorted((one, other) => (one.name ?? one.user).localeCompare(other.name ?? other.user));
  return (
    <section className="members" aria-label="Members">
      <h2 className="members-title">
        Members <span className="numbers">{count.toLocaleString("en")}</span>
      </h2>
      {!live && count > 0 && <p className="members-many">As of the last connection.</p>}
      {sorted ? (
        <ul className="members-list">
          {sorted.map(({ user, name = user }) => (
            <li key={user} className="member" title={user}>
              <Avatar user={user} name={name} size="s" />
              <span className="member-name">
                <bdi>{name}</bdi>
                {user === me && <span className="muted"> (you)</span>}
              </span>
              {typing.includes(user) ? <span className="member-typing">typing…</span> : <StatusDot tone={live ? "good" : "plain"} hollow={!live} />}
            </li>
          ))}
        </ul>
      ) : (
        count > 0 && <p className="members-many">In a room as large as this one, only the number of those who are there is told.</p>
      )}
    </section>
  );
}
