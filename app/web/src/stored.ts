import { useState } from "react";

/** A text that `storage` keeps under a name while `isKept`; a browser may refuse to keep anything. */
export function useStored(storage: () => Storage, name: string, otherwise: string) {
  const [text, setText] = useState(() => attempt(() => storage().getItem(name)) ?? otherwise);
  const set = (changed: string, isKept: boolean): void => {
    setText(changed);
    attempt(() => (isKept ? storage().setItem(name, changed) : storage().removeItem(name)));
  };
  return [text, set] as const;
}

function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}
