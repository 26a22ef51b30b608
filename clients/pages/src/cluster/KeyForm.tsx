import { useState } from "react";
import { Button } from "../ui/Button.tsx";
import { TextField } from "../ui/Field.tsx";

interface KeyFormProps {
  /** Why the last one was not taken. */
  readonly refusal: string | null;
  readonly onKey: (key: string) => void;
}

export function KeyForm({ refusal, onKey }: KeyFormProps) {
  const [key, setKey] = useState("");
  const [odd, setOdd] = useState(false);
  return (
    <form
      className="cluster-key"
      onSubmit={(event) => {
        event.preventDefault();
        const plain = /^[\x20-\x7e]+$/.test(key.trim());
        setOdd(!plain);
        if (plain) onKey(key.trim());
      }}
    >
      <h2>This page needs an API key</h2>
      <p className="muted">
        It shows every room and can drain nodes and ban users, so it is for whoever runs the cluster: give one of the gateways' <code>api_keys</code> (<code>CHORUS_API_KEYS</code>).
      </p>
      <TextField
        label="API key"
        type="password"
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        value={key}
        onChange={(event) => setKey(event.target.value)}
        hint="It stays in this tab, and is forgotten when the tab is closed."
        error={odd ? "A key is of ASCII characters, one at least." : (refusal ?? undefined)}
        autoFocus
      />
      <Button type="submit" look="primary">
        Show the cluster
      </Button>
    </form>
  );
}
