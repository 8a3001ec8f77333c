import { useReducer, useRef } from "react";
import { ConnectionError } from "./api";
import { type Action, EMPTY, reduce } from "./conversation";
import { answerWithFittingTurns } from "./fittingTurns";
import type { Settings } from "./settings";

interface Access {
  settings: Settings;
  key: string;
  /** Called when the server is lost. */
  onLost: () => void;
}

/** The conversation and what can be done with it; only one answer is in progress at a time. */
export function useChat(access: Access) {
  const [conversation, dispatch] = useReducer(reduce, EMPTY);
  const running = useRef<AbortController>(null);
  const asked = useRef(0);
  const { model } = access.settings;
  const last = conversation.turns.at(-1);

  async function run(first: Extract<Action, { type: "ask" | "again" }>): Promise<void> {
    const { signal } = (running.current = new AbortController());
    const { id } = first;
    dispatch(first);
    try {
      await answerWithFittingTurns(reduce(conversation, first), id, access, signal, dispatch);
    } catch (problem) {
      if (signal.aborted) {
        dispatch({ type: "end", id, ending: "stopped" });
      } else {
        dispatch({ type: "end", id, ending: "failed", problem: (problem as Error).message });
        if (problem instanceof ConnectionError) access.onLost();
      }
    }
  }

  return {
    conversation,
    isAnswering: last !== undefined && !last.ending,
    ask: (question: string) => run({ type: "ask", id: asked.current++, model, question }),
    retry: () => last && run({ type: "again", id: last.id, model }),
    stop: () => running.current?.abort(),
    clear: () => {
      running.current?.abort();
      dispatch({ type: "clear" });
    },
  };
}
