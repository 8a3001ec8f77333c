import { expect, test } from "vitest";
import { readEvents } from "./sse";

function streamOf(...chunks: Uint8Array<ArrayBuffer>[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

async function eventsOf(...chunks: (string | Uint8Array<ArrayBuffer>)[]): Promise<string[]> {
  const encoder = new TextEncoder();
  const bytes = chunks.map((chunk) => (typeof chunk === "string" ? encoder.encode(chunk) : chunk));
  const events: string[] = [];
  for await (const data of readEvents(streamOf(...bytes))) events.push(data);
  return events;
}

test("an event ends at an empty line", async () => {
  expect(await eventsOf("data: one\n\ndata: two\n\n")).toEqual(["one", "two"]);
});

test("chunks may be cut anywhere", async () => {
  const text =
    'data: {"a": 1}\r\n\r\ndata: é😀\r\ndata:second line\r\n\r\n: quiet\n\ndata: [DONE]\r\r';
  const bytes = new TextEncoder().encode(`${text}\n`);
  const whole = ['{"a": 1}', "é😀\nsecond line", "[DONE]"];
  expect(await eventsOf(bytes)).toEqual(whole);
  for (let cut = 1; cut < bytes.length; cut++) {
    expect(await eventsOf(bytes.slice(0, cut), bytes.slice(cut))).toEqual(whole);
  }
  const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
  expect(await eventsOf(...single)).toEqual(whole);
});

test("a line end may be any of three", async () => {
  expect(await eventsOf("data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n")).toEqual([..."abcd"]);
});

test("comments and other fields are skipped", async () => {
  expect(await eventsOf(": ping\n\nevent: x\nid: 7\nretry: 9\ndata: text\n\n")).toEqual(["text"]);
});

test("only one space after the colon is the field's", async () => {
  expect(await eventsOf("data:  a \n\ndata:b\n\ndata:\n\n")).toEqual([" a ", "b", ""]);
});

test("an event that breaks off is no event", async () => {
  expect(await eventsOf("data: a\n\ndata: b\n")).toEqual(["a"]);
  expect(await eventsOf()).toEqual([]);
});

test("who stops reading ends the stream", async () => {
  let isCancelled = false;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: a\n\n")),
    cancel: () => void (isCancelled = true),
  });
  for await (const data of readEvents(stream)) {
    expect(data).toBe("a");
    break;
  }
  expect(isCancelled).toBe(true);
});
