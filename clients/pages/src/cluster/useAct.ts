import { useState } from "react";
import { Refusal } from "./api.ts";
import { toast } from "../ui/Toast.tsx";

/** What the button says while it is being done. */
export const ASKING = "Asking …";

interface Act {
  readonly busy: boolean;
  /** Why it was not done. */
  readonly error: string | undefined;
  /** Does it, and says so where it is read out; then calls `after`. */
  readonly run: (call: () => Promise<void>, done: string, after: () => void) => void;
  readonly reset: () => void;
}

/** Something that is done to the cluster, once at a time. */
export function useAct(): Act {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const act = async (call: () => Promise<void>, done: string, after: () => void) => {
    setBusy(true);
    setError(undefined);
    try {
      await call();
      toast(done, "good");
      after();
    } catch (failure) {
      setError(failure instanceof Refusal ? `It was not done: ${failure.message}.` : "It is not known whether it was done: nobody answers. Look, and try again.");
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, run: (call, done, after) => void act(call, done, after), reset: () => setError(undefined) };
}
