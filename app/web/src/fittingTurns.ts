import type { Dispatch } from "react";
import { ApiError, complete } from "./api";
import { type Action, type Conversation, messagesOf } from "./conversation";
import { type Settings, toRequest } from "./settings";

/** Asks the last question, again if the server is busy, without the oldest turns if too long. */
export async function answerWithFittingTurns(
  conversation: Conversation,
  id: number,
  { settings, key }: { settings: Settings; key: string },
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
