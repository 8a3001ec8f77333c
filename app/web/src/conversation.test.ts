import { expect, test } from "vitest";
import { type Action, EMPTY, messagesOf, noticeOf, reduce } from "./conversation";

const GOUT = { type: "ask", id: 1, model: "base", question: "What is gout?" } as const;
const AND = { type: "ask", id: 2, model: "base", question: "And in children?" } as const;

function after(...actions: Action[]) {
  return actions.reduce(reduce, EMPTY);
}

test("an answer grows until it ends", () => {
  const growing = after(
    GOUT,
    { type: "text", id: 1, text: "A " },
    { type: "text", id: 1, text: "b" },
  );
  expect(growing.turns).toEqual([
    { id: 1, model: "base", question: "What is gout?", answer: "A b" },
  ]);
  const ended = reduce(growing, { type: "end", id: 1, ending: "length" });
  expect(ended.turns[0]).toMatchObject({ answer: "A b", ending: "length" });
});

test("a question is asked again from nothing", () => {
  const failed = after(
    GOUT,
    { type: "text", id: 1, text: "A" },
    { type: "wait", id: 1, seconds: 3 },
    { type: "end", id: 1, ending: "failed", problem: "broken" },
  );
  expect(failed.turns[0]).toMatchObject({ ending: "failed", problem: "broken", retryInS: 3 });
  const again = reduce(failed, { type: "again", id: 1, model: "finetuned" });
  expect(again.turns).toEqual([
    { id: 1, model: "finetuned", question: "What is gout?", answer: "" },
  ]);
});

test("a question that is asked again keeps its notice", () => {
  const notice = { kind: "heart", title: "Call", text: "Call.", calls: [] };
  const again = after(
    GOUT,
    { type: "notice", id: 1, notice },
    { type: "end", id: 1, ending: "failed", problem: "broken" },
    { type: "again", id: 1, model: "finetuned" },
  );
  expect(noticeOf(again)).toEqual(notice);
});

test("what comes late for a conversation that was cleared is dropped", () => {
  const cleared = after(GOUT, { type: "clear" }, { type: "text", id: 1, text: "A" });
  expect(cleared).toEqual(EMPTY);
});

test("all turns with an answer are sent, and the last question", () => {
  const conversation = after(GOUT, { type: "text", id: 1, text: "A." }, AND);
  expect(messagesOf(conversation, "Be brief.")).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "What is gout?" },
    { role: "assistant", content: "A." },
    { role: "user", content: "And in children?" },
  ]);
});

test("a question without an answer and an empty system prompt are not sent", () => {
  const failed = { type: "end", id: 1, ending: "failed", problem: "broken" } as const;
  expect(messagesOf(after(GOUT, failed, AND), " ")).toEqual([
    { role: "user", content: "And in children?" },
  ]);
});

test("turns that no longer fit are not sent", () => {
  const conversation = after(GOUT, { type: "text", id: 1, text: "A." }, AND, {
    type: "leave",
    left: 1,
  });
  expect(messagesOf(conversation, "")).toEqual([{ role: "user", content: "And in children?" }]);
  expect(conversation.turns).toHaveLength(2);
});

test("a question with a notice is still sent when its turn no longer fits", () => {
  const notice = { kind: "self_harm", title: "Help is there", text: "Call.", calls: [] };
  const conversation = after(
    GOUT,
    { type: "notice", id: 1, notice },
    { type: "text", id: 1, text: "A." },
    AND,
    { type: "leave", left: 1 },
  );
  expect(noticeOf(conversation)).toEqual(notice);
  expect(messagesOf(conversation, "").map((message) => message.content)).toEqual([
    "What is gout?",
    "And in children?",
  ]);
});
