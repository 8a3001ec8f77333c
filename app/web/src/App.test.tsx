import { act, cleanup, render, screen } from "@testing-library/react";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { App } from "./App";
import { answers, FakeServer, refusal, Speech } from "./fakeServer";

let server: FakeServer;
let user: UserEvent;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("jest", vi); // the one whose timers Testing Library knows how to advance
  user = userEvent.setup({ advanceTimers: (ms) => vi.advanceTimersByTime(ms) });
  server = new FakeServer();
  render(<App />);
  await pass(0);
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  vi.useRealTimers();
  sessionStorage.clear();
  localStorage.clear();
});

async function pass(seconds: number): Promise<void> {
  await act(() => vi.advanceTimersByTimeAsync(seconds * 1000));
}

async function ask(question: string): Promise<void> {
  await user.type(screen.getByLabelText("Your question"), `${question}{Enter}`);
  await pass(0);
}

async function press(name: string): Promise<void> {
  await user.click(screen.getByRole("button", { name }));
  await pass(0);
}

function messages(request = -1): string[] {
  return server.questions.at(request)!.body.messages.map((message) => message.content);
}

const log = () => screen.getByRole("log").textContent;

test("Enter sends, and the answer is shown as it comes", async () => {
  const speech = new Speech();
  server.replies = [speech.reply];
  await ask("What is gout?");
  expect(server.questions[0]!.body).toEqual({
    model: "finetuned",
    messages: [{ role: "user", content: "What is gout?" }],
    stream: true,
  });
  expect(screen.getByRole("article").getAttribute("aria-busy")).toBe("true");
  speech.say("A kind");
  await pass(0);
  expect(screen.getByText("A kind")).toBeTruthy();
  speech.say(" of arthritis.");
  speech.end();
  await pass(0);
  expect(screen.getByText("A kind of arthritis.")).toBeTruthy();
  expect(screen.getByRole("article").getAttribute("aria-busy")).toBe("false");
  expect(screen.getByLabelText<HTMLTextAreaElement>("Your question").value).toBe("");
});

test("Shift+Enter starts a new line, and spaces are not sent", async () => {
  server.replies = [answers("Yes.")];
  await ask("  ");
  expect(server.questions).toHaveLength(0);
  await user.clear(screen.getByLabelText("Your question"));
  await ask("one{Shift>}{Enter}{/Shift}two");
  expect(messages()).toEqual(["one\ntwo"]);
});

test("an example is asked with one click", async () => {
  server.replies = [answers("Long fingers.")];
  await press("What is gout?");
  expect(messages()).toEqual(["What is gout?"]);
  expect(screen.queryByText("What would you like to know?")).toBeNull();
});

test("an example is not asked while a setting is wrong", async () => {
  await user.clear(screen.getByLabelText("Temperature"));
  await user.type(screen.getByLabelText("Temperature"), "abc");
  await press("What is gout?");
  expect(server.questions).toHaveLength(0);
});

test("the conversation is sent with each question", async () => {
  server.replies = [answers("A."), answers("B.")];
  await ask("a?");
  await ask("b?");
  expect(messages()).toEqual(["a?", "A.", "b?"]);
});

test.each(["Stop", "Escape"])("%s ends the request and keeps what has come", async (how) => {
  const speech = new Speech();
  server.replies = [speech.reply];
  await ask("What is gout?");
  speech.say("A kind");
  await pass(0);
  if (how === "Stop") await press("Stop");
  else await user.type(screen.getByLabelText("Your question"), "{Escape}");
  await pass(0);
  expect(server.questions[0]!.signal!.aborted).toBe(true);
  expect(log()).toContain("A kindStopped.");
  expect(screen.queryByRole("button", { name: "Retry" })).toBeNull();
  expect(screen.getByRole("button", { name: "Send" })).toBeTruthy();
});

const NOTICE = {
  kind: "heart",
  title: "This may be a heart attack",
  text: "Call 112 now.",
  calls: [{ label: "Call 112", number: "112" }],
};

test("an emergency is an alert with a number to call, apart from the answer", async () => {
  const speech = new Speech();
  server.replies = [speech.reply, answers("Gout is a disease.")];
  await ask("My chest hurts");
  const content = `⚠ ${NOTICE.title}. ${NOTICE.text}`;
  speech.send({ choices: [{ delta: { content }, finish_reason: null }], notice: NOTICE });
  speech.say("\n\nIt may be angina.");
  speech.end();
  await pass(0);
  expect(screen.getByRole("alert").textContent).toContain("This may be a heart attack");
  expect(screen.getByRole("link", { name: "Call 112" }).getAttribute("href")).toBe("tel:112");
  expect(screen.getByText("It may be angina.")).toBeTruthy();
  expect(log()).not.toContain("heart attack");
  await ask("What is gout?");
  expect(screen.getByRole("alert")).toBeTruthy();
  expect(messages()).toEqual(["My chest hurts", "It may be angina.", "What is gout?"]);
  await press("New conversation");
  expect(screen.queryByRole("alert")).toBeNull();
});

test("an answer that is cut says so", async () => {
  server.replies = [answers("A kind", "length")];
  await ask("What is gout?");
  expect(screen.getByText("Cut at the maximum length.")).toBeTruthy();
});

test("an answer that the time limit has cut says so", async () => {
  const speech = new Speech();
  server.replies = [speech.reply];
  await ask("What is gout?");
  speech.say("A kind");
  speech.send({ choices: [{ delta: {}, finish_reason: "length", timed_out: true }] });
  speech.send("[DONE]");
  await pass(0);
  expect(screen.getByText("Cut at the server's time limit.")).toBeTruthy();
  expect(screen.queryByText("Cut at the maximum length.")).toBeNull();
});

test("the server's own line is shown, and the question can be asked again", async () => {
  server.replies = [refusal(400, "an answer has at most 512 tokens"), answers("A.")];
  await ask("a?");
  expect(screen.getByText("an answer has at most 512 tokens")).toBeTruthy();
  await press("Retry");
  expect(messages()).toEqual(["a?"]);
  expect(log()).toContain("A.");
  expect(screen.queryByText("an answer has at most 512 tokens")).toBeNull();
});

test("an error in the middle of an answer is shown", async () => {
  const speech = new Speech();
  server.replies = [speech.reply];
  await ask("a?");
  speech.say("A kind");
  speech.send({ error: { message: "the answer failed: see the server's log" } });
  await pass(0);
  expect(log()).toContain("A kind" + "the answer failed: see the server's log");
  expect(screen.queryByText(/cannot be reached/)).toBeNull();
});

test("markup is shown as text", async () => {
  const text = "<img src=x onerror=alert(1)> ![x](http://x.example/x.png) **b** $x^2$\n  two";
  server.replies = [answers(text)];
  await ask("a?");
  expect(screen.getByText((_, element) => element?.className === "answer").textContent).toBe(text);
  expect(document.querySelector("article img, article a, article b")).toBeNull();
});

test("settings are sent", async () => {
  server.replies = [answers("A.")];
  await user.selectOptions(screen.getByLabelText("Model"), "base");
  await user.type(screen.getByLabelText("Temperature"), "0.5");
  await user.type(screen.getByLabelText("Top-p"), "0.9");
  await user.type(screen.getByLabelText("Maximum tokens"), "64");
  await user.type(screen.getByLabelText("System prompt"), "Be brief.");
  await ask("a?");
  expect(server.questions[0]!.body).toMatchObject({
    model: "base",
    temperature: 0.5,
    top_p: 0.9,
    max_completion_tokens: 64,
  });
  expect(messages()).toEqual(["Be brief.", "a?"]);
});

test("a wrong number is named and keeps the question back", async () => {
  server.replies = [answers("A.")];
  await user.type(screen.getByLabelText("Temperature"), "3");
  await ask("a?");
  expect(screen.getByRole("alert").textContent).toBe("Temperature must be a number from 0 to 2.");
  expect(screen.getByLabelText("Temperature").getAttribute("aria-invalid")).toBe("true");
  expect(server.questions).toHaveLength(0);
  await user.clear(screen.getByLabelText("Temperature"));
  await press("Send");
  expect(messages()).toEqual(["a?"]);
});

test("the key is sent, and kept only by choice", async () => {
  server.replies = [answers("A.")];
  expect(server.modelRequests[0]!.headers.has("Authorization")).toBe(false);
  await user.type(screen.getByLabelText("API key"), "sesame");
  await pass(1);
  expect(server.modelRequests.at(-1)!.headers.get("Authorization")).toBe("Bearer sesame");
  expect(server.modelRequests).toHaveLength(2);
  await ask("a?");
  expect(server.questions[0]!.headers.get("Authorization")).toBe("Bearer sesame");
  expect([sessionStorage.length, localStorage.length]).toEqual([0, 0]);
  await user.click(screen.getByLabelText("Keep the key until this tab is closed"));
  expect(sessionStorage.getItem("medtune.key")).toBe("sesame");
  await user.click(screen.getByLabelText("Keep the key until this tab is closed"));
  expect(sessionStorage.length).toBe(0);
});

test("a server that asks for a key is given it", async () => {
  cleanup();
  server.key = "sesame";
  server.replies = [answers("A.")];
  render(<App />);
  await pass(0);
  const line = "The API key is missing or wrong: enter it under Settings.";
  expect(screen.getByText(line)).toBeTruthy();
  await ask("a?");
  expect(log()).toContain(line);
  await user.type(screen.getByLabelText("API key"), "sésame");
  await pass(1);
  await press("Retry");
  expect(screen.getAllByText(line)).toHaveLength(2);
  await user.clear(screen.getByLabelText("API key"));
  await user.type(screen.getByLabelText("API key"), "sesame");
  await pass(1);
  expect(screen.getByRole("option", { name: "base" })).toBeTruthy();
  await press("Retry");
  expect(log()).toContain("finetunedA.");
  expect(screen.queryByText(line)).toBeNull();
});

test("a busy server is asked once more, when it says", async () => {
  server.replies = [refusal(503, "too many wait", { retryAfter: "3" })];
  await ask("a?");
  expect(log()).toContain("The server is busy: asking again in 3 s.");
  await pass(2);
  expect(log()).toContain("asking again in 1 s.");
  expect(server.questions).toHaveLength(1);
  await pass(1);
  expect(server.questions).toHaveLength(2);
  expect(log()).toContain("too many wait");
  await pass(60);
  expect(server.questions).toHaveLength(2);
});

test("waiting for a busy server can be stopped", async () => {
  server.replies = [refusal(503, "too many wait", { retryAfter: "3" })];
  await ask("a?");
  await press("Stop");
  await pass(60);
  expect(log()).toContain("Stopped.");
  expect(server.questions).toHaveLength(1);
});

test("a lost server is watched, and the page reconnects when it is back", async () => {
  server.isThere = false;
  await ask("a?");
  expect(log()).toContain("The server cannot be reached.");
  const watched = vi.spyOn(globalThis, "fetch");
  expect(screen.getByRole("alert").textContent).toContain("as soon as it is back");
  for (let second = 0; second < 120; second++) await pass(1);
  expect(watched.mock.calls.length).toBeGreaterThan(8); // after 1, 2, 4, 8, 15, 15 … s
  expect(watched.mock.calls.length).toBeLessThan(12);
  server.isThere = true;
  server.models = ["finetuned", "base", "third"];
  await pass(15);
  await pass(0);
  expect(screen.queryByRole("alert")).toBeNull();
  expect(screen.getByRole("option", { name: "third" })).toBeTruthy();
  server.replies = [answers("A.")];
  await press("Retry");
  expect(log()).toContain("A.");
});

test("a server that goes while nothing is asked is noticed", async () => {
  server.isThere = false;
  await pass(25);
  expect(screen.getByRole("alert").textContent).toContain("cannot be reached");
  server.isThere = true;
  await press("Try now");
  expect(screen.queryByRole("alert")).toBeNull();
});

test("an answer that breaks off keeps what has come", async () => {
  const speech = new Speech();
  server.replies = [speech.reply];
  await ask("a?");
  speech.say("A kind");
  await pass(0);
  speech.breakOff();
  await pass(0);
  expect(log()).toContain("A kindThe connection was lost before the answer was complete.");
  expect(screen.getByRole("button", { name: "Retry" })).toBeTruthy();
});

test("the oldest turns go when the conversation no longer fits", async () => {
  const tooLong = refusal(400, "the conversation has 900 tokens", { param: "messages" });
  server.replies = [answers("A."), answers("B."), tooLong, tooLong, answers("C."), answers("D.")];
  for (const question of ["a?", "b?", "c?"]) await ask(question);
  expect(messages(-3)).toEqual(["a?", "A.", "b?", "B.", "c?"]);
  expect(messages(-2)).toEqual(["b?", "B.", "c?"]);
  expect(messages(-1)).toEqual(["c?"]);
  expect(screen.getAllByText(/messages above no longer fit/)).toHaveLength(1);
  await ask("d?");
  expect(messages()).toEqual(["c?", "C.", "d?"]);
  expect(log()).toContain("a?"); // still there to read
});

test("a question that does not fit alone is refused, and no turn is left out for it", async () => {
  const line = "the body is larger than 32768 bytes";
  server.replies = [answers("A."), refusal(413, line), refusal(413, line), answers("C.")];
  await ask("a?");
  await ask("b?");
  expect(screen.getByText(line)).toBeTruthy();
  expect(server.questions).toHaveLength(3);
  expect(screen.queryByText(/messages above no longer fit/)).toBeNull();
  await ask("c?");
  expect(messages()).toEqual(["a?", "A.", "c?"]);
});

test("a new conversation ends the answer and forgets", async () => {
  server.replies = [new Speech().reply, answers("B.")];
  await ask("a?");
  await press("New conversation");
  expect(server.questions[0]!.signal!.aborted).toBe(true);
  expect(screen.getByText("What would you like to know?")).toBeTruthy();
  await ask("b?");
  expect(messages()).toEqual(["b?"]);
  expect(log()).not.toContain("Stopped");
});

test("the chosen appearance is kept", async () => {
  expect(document.documentElement.dataset.theme).toBe("system");
  await user.selectOptions(screen.getByLabelText("Appearance"), "dark");
  expect(document.documentElement.dataset.theme).toBe("dark");
  cleanup();
  render(<App />);
  expect(screen.getByLabelText<HTMLSelectElement>("Appearance").value).toBe("dark");
});

test("the disclaimer stays", async () => {
  const line = "For education and research only, never medical advice.";
  expect(screen.getByText(line)).toBeTruthy();
  server.replies = [answers("A.")];
  await ask("a?");
  expect(screen.getByText(line)).toBeTruthy();
});
