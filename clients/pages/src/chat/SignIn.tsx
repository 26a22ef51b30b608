import "./SignIn.css";
import { useEffect, useState, type FormEvent } from "react";
import { Button } from "../ui/Button.tsx";
import { Complaint } from "../ui/Complaint.tsx";
import { Field, TextField } from "../ui/Field.tsx";
import { askSite, type Site } from "../ui/site.ts";
import { guest, tokenIn, type Identity } from "./identity.ts";
import { fault, tidy } from "./rooms.ts";

interface SignInProps {
  readonly before: Identity | undefined;
  readonly room: string;
  /** Why one is here again. */
  readonly error: string | undefined;
  readonly onSignIn: (identity: Identity, room: string) => void;
}

/** Who comes in, and where to: a guest in development mode; elsewhere somebody with a token. */
export function SignIn(props: SignInProps) {
  const [site, setSite] = useState<Site>();
  const [away, setAway] = useState(false);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let current = true;
    askSite().then(
      (answer) => current && setSite(answer),
      () => current && setAway(true),
    );
    return () => {
      current = false;
    };
  }, [attempt]);

  const again = () => {
    setAway(false);
    setAttempt(attempt + 1);
  };
  return (
    <div className="sign-in">
      <div className="sign-in-card">
        <img src="/icon.svg" alt="" width="48" height="48" />
        <div>
          <h1>Chorus</h1>
          <p className="muted">{site?.guests === false ? "Sign in and pick a room." : "Pick a name and a room, and start talking."}</p>
        </div>
        {site?.guests === true && <AsGuest {...props} />}
        {site?.guests === false && <WithToken {...props} />}
        {away && (
          <>
            <Complaint boxed text="The server does not answer." />
            <Button look="primary" onClick={again}>
              Try again
            </Button>
          </>
        )}
      </div>
      {site?.guests === true && <p className="sign-in-note">Development mode: what is said lives in this server’s memory and ends with it.</p>}
    </div>
  );
}

const ROOM_HINT = (
  <>
    Letters, digits and <code>_ . - : #</code>. Whoever picks the same room is there with you.
  </>
);

function useRoomField(initial: string) {
  const [room, setRoom] = useState(initial || "lobby");
  const [wrong, setWrong] = useState<string>();
  const field = (
    <TextField
      label="Room"
      hint={ROOM_HINT}
      error={wrong}
      value={room}
      onChange={(event) => setRoom(event.target.value)}
      required
      autoCapitalize="none"
      spellCheck={false}
      autoComplete="off"
    />
  );
  const check = () => {
    const found = fault(tidy(room));
    setWrong(found);
    return found === undefined;
  };
  return { field, check, name: tidy(room) };
}

function AsGuest({ before, room: initial, error, onSignIn }: SignInProps) {
  const [name, setName] = useState(before?.kind === "guest" ? before.name : "");
  const room = useRoomField(initial);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const tidied = name.trim().replace(/\s+/g, " ");
    if (tidied && room.check()) onSignIn(guest(tidied, before), room.name);
  };
  return (
    <form onSubmit={submit}>
      <TextField label="Your name" value={name} onChange={(event) => setName(event.target.value)} required maxLength={40} autoFocus autoComplete="nickname" />
      {room.field}
      <Complaint boxed text={error} />
      <Button type="submit" look="primary">
        Join
      </Button>
    </form>
  );
}

function WithToken({ room: initial, error, onSignIn }: SignInProps) {
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState<string>();
  const room = useRoomField(initial);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const token = tokenIn(text);
    setWrong(token === undefined ? "A token has three parts with dots between them." : undefined);
    if (room.check() && token !== undefined) onSignIn({ kind: "token", token }, room.name);
  };
  const hint = (
    <>
      A JWT, as <code>chorus token --sub anna</code> prints one. It is kept in this tab only.
    </>
  );
  return (
    <form onSubmit={submit}>
      <Field label="Token" hint={hint} error={wrong}>
        {(control) => (
          <textarea {...control} className="input mono" rows={3} value={text} onChange={(event) => setText(event.target.value)} required spellCheck={false} autoComplete="off" autoFocus />
        )}
      </Field>
      {room.field}
      <Complaint boxed text={error} />
      <Button type="submit" look="primary">
        Join
      </Button>
      <Button look="quiet" onClick={() => room.check() && onSignIn({ kind: "cookie" }, room.name)}>
        Use this site’s cookie instead
      </Button>
    </form>
  );
}
