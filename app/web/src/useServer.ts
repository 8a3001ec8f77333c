import { useEffect, useState } from "react";
import { ConnectionError, isReachable, listModels } from "./api";

const CALM_S = 20; // between checks of a server that responds
const LONGEST_S = 15; // between checks of one that does not

export interface Server {
  isUp: boolean;
  models: string[];
  /** One line on why there are no models. */
  problem?: string;
  /** Reports that it could not be reached. */
  lost: () => void;
  /** Checks now. */
  check: () => void;
}

/** Checks the server regularly, and more often while it does not respond. */
export function useServer(key: string): Server {
  const [failures, setFailures] = useState(0); // in a row
  const [checks, setChecks] = useState(0);
  const isUp = failures === 0;

  const check = async (): Promise<void> => {
    const reachable = await isReachable();
    setFailures((before) => (reachable ? 0 : before + 1));
    setChecks((before) => before + 1);
  };
  const lost = (): void => setFailures((before) => Math.max(before, 1));

  useEffect(() => {
    const seconds = isUp ? CALM_S : Math.min(2 ** (failures - 1), LONGEST_S);
    const timer = setTimeout(() => void check(), seconds * 1000);
    return () => clearTimeout(timer);
  }, [isUp, failures, checks]);

  return { isUp, ...useModels(key, isUp, lost), lost, check: () => void check() };
}

function useModels(key: string, isUp: boolean, lost: () => void) {
  const [found, setFound] = useState<Pick<Server, "models" | "problem">>({ models: [] });
  useEffect(() => {
    if (!isUp) return;
    const leaving = new AbortController();
    const load = async (): Promise<void> => {
      try {
        setFound({ models: await listModels(key, leaving.signal) });
      } catch (error) {
        if (leaving.signal.aborted) return;
        if (error instanceof ConnectionError) lost();
        else setFound({ models: [], problem: (error as Error).message });
      }
    };
    const timer = setTimeout(() => void load(), key ? 300 : 0); // not for each letter of a key
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
  }, [key, isUp]);
  return found;
}
