import { useState } from "react";
import { Dialog } from "../ui/Dialog.tsx";
import { TextField } from "../ui/Field.tsx";
import { inBrowser } from "../ui/storage.ts";
import type { Request } from "./model/requests.ts";
import { saveRequest } from "./model/storage.ts";

interface Props {
  readonly open: boolean;
  readonly text: string;
  readonly onClose: () => void;
  readonly onSaved: (name: string, all: readonly Request[]) => void;
}

/** Gives a request a name, and keeps it in this browser. */
export function SaveRequest({ open, text, onClose, onSaved }: Props) {
  const [name, setName] = useState("");
  const save = () => {
    const called = name.trim();
    if (called === "") return;
    onSaved(called, saveRequest(inBrowser, { name: called, text }));
    setName("");
  };
  return (
    <Dialog open={open} title="Save the request" confirm="Save" look="primary" disabled={name.trim() === ""} onClose={onClose} onConfirm={save}>
      <TextField label="Name" value={name} onChange={(event) => setName(event.target.value)} maxLength={60} autoComplete="off" hint="Kept in this browser. One of the same name is replaced; a token that stands in the text itself is kept with it, so write {{token}}." />
    </Dialog>
  );
}
