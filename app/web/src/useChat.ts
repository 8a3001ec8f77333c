import { type Dispatch, useReducer, useRef } from "react";
import { ApiError, complete, ConnectionError } from "./api";
import { type Action, type Conversation, EMPTY, messagesOf, reduce } from "./conversation";
import { type Settings, toRequest } from "./settings";

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
      await answer(reduce(conversation, first), id, access, signal, dispatch);
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

/** Asks the last question, again if the server is busy, without the oldest turns if too long. */
async function answer(
  conversation: Conversation,
  id: number,
  { settings, key }: Access,
  signal: AbortSignal,
  dispatch: Dispatch<Action>,
): Promise<void> {
  let { left } = conversation;
  let mayWait = true;
  for (;;) {
    try {
      const messages = messagesOf({ ...conversation, left }, settings.systemPrompt);
      const ending = await complete(
        { ...toRequest(settings), messages },
        key,
        signal,
        (text) => dispatch({ type: "text", id, text }),
        (notice) => dispatch({ type: "notice", id, notice }),
      );
      dispatch({ type: "end", id, ending });
      return;
    } catch (problem) {
      if (signal.aborted || !(problem instanceof ApiError)) throw problem;
      if (problem.isTooLong && left < conversation.turns.length - 1) {
        dispatch({ type: "leave", left: ++left });
      } else if (problem.status === 503 && mayWait) {
        mayWait = false;
        for (let seconds = problem.retryAfterS; seconds > 0; seconds--) {
          dispatch({ type: "wait", id, seconds });
          await pause(1000, signal);
        }
        dispatch({ type: "wait", id, seconds: 0 });
      } else {
        if (problem.isTooLong) dispatch({ type: "leave", left: conversation.left }); // leaving turns out did not help
        throw problem;
      }
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}
