import type { FinishReason, Message, Notice } from "./api";

export interface Turn {
  id: number;
  model: string;
  question: string;
  answer: string;
  /** About an emergency, shown apart from the answer. */
  notice?: Notice;
  /** How it ended, if it did. */
  ending?: FinishReason | "stopped" | "failed";
  /** One line on why it failed. */
  problem?: string;
  /** Seconds until a busy server is asked again. */
  retryInS?: number;
}

export interface Conversation {
  turns: Turn[];
  /** How many turns, from the first, no longer fit and are not sent. */
  left: number;
}

export type Action =
  | { type: "ask"; id: number; model: string; question: string }
  | { type: "again"; id: number; model: string }
  | { type: "text"; id: number; text: string }
  | { type: "notice"; id: number; notice: Notice }
  | { type: "wait"; id: number; seconds: number }
  | { type: "end"; id: number; ending: NonNullable<Turn["ending"]>; problem?: string }
  | { type: "leave"; left: number }
  | { type: "clear" };

const START = 300; // characters
export const EMPTY: Conversation = { turns: [], left: 0 };

export function reduce(conversation: Conversation, action: Action): Conversation {
  const { turns, left } = conversation;
  const change = (id: number, changed: (turn: Turn) => Turn): Conversation => ({
    turns: turns.map((turn) => (turn.id === id ? changed(turn) : turn)),
    left,
  });
  switch (action.type) {
    case "ask": {
      const { id, model, question } = action;
      return { turns: [...turns, { id, model, question, answer: "" }], left };
    }
    case "again": {
      const { id, model } = action;
      return change(id, ({ question, notice }) => ({
        id,
        model,
        question,
        answer: "",
        ...(notice && { notice }),
      }));
    }
    case "text":
      return change(action.id, (turn) => ({ ...turn, answer: turn.answer + action.text }));
    case "notice":
      return change(action.id, (turn) => ({ ...turn, notice: action.notice }));
    case "wait":
      return change(action.id, (turn) => ({ ...turn, retryInS: action.seconds }));
    case "end": {
      const { ending, problem } = action;
      return change(action.id, (turn) => ({ ...turn, ending, problem }));
    }
    case "leave":
      return { turns, left: action.left };
    case "clear":
      return EMPTY;
  }
}

/** The newest notice, which stays in view until the conversation is cleared. */
export function noticeOf({ turns }: Conversation): Notice | undefined {
  return turns.findLast((turn) => turn.notice)?.notice;
}

/**
 * What is sent: the turns that fit and have an answer or a notice, and the last question. The start
 * of the newest question with a notice is sent even if its turn no longer fits.
 */
export function messagesOf(conversation: Conversation, systemPrompt: string): Message[] {
  const turns = conversation.turns.slice(conversation.left);
  const noticed = conversation.turns.slice(0, conversation.left).findLast((turn) => turn.notice);
  const question = turns.pop()?.question ?? "";
  return [
    ...(systemPrompt.trim() ? [{ role: "system", content: systemPrompt } as const] : []),
    ...(noticed ? [{ role: "user", content: noticed.question.slice(0, START) } as const] : []),
    ...turns
      .filter((turn) => turn.answer || turn.notice)
      .flatMap((turn): Message[] => [
        { role: "user", content: turn.question },
        ...(turn.answer ? [{ role: "assistant", content: turn.answer } as const] : []),
      ]),
    { role: "user", content: question },
  ];
}
