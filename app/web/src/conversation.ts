import type { FinishReason, Message } from "./api";

export interface Turn {
  id: number;
  model: string;
  question: string;
  answer: string;
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
  | { type: "wait"; id: number; seconds: number }
  | { type: "end"; id: number; ending: NonNullable<Turn["ending"]>; problem?: string }
  | { type: "leave"; left: number }
  | { type: "clear" };

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
      return change(id, ({ question }) => ({ id, model, question, answer: "" }));
    }
    case "text":
      return change(action.id, (turn) => ({ ...turn, answer: turn.answer + action.text }));
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

/** What is sent: the turns that fit and have an answer, and the last question. */
export function messagesOf(conversation: Conversation, systemPrompt: string): Message[] {
  const turns = conversation.turns.slice(conversation.left);
  const question = turns.pop()?.question ?? "";
  return [
    ...(systemPrompt.trim() ? [{ role: "system", content: systemPrompt } as const] : []),
    ...turns
      .filter((turn) => turn.answer)
      .flatMap((turn): Message[] => [
        { role: "user", content: turn.question },
        { role: "assistant", content: turn.answer },
      ]),
    { role: "user", content: question },
  ];
}
