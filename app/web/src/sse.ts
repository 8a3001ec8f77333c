/**
 * The data of each server-sent event of a stream, in order. Names, ids, comments and an incomplete
 * last event are skipped.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export async function* readEvents(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder(); // keeps the first bytes of a character that is split between chunks
  let unread = "";
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      unread += decoder.decode(value, { stream: true });
      // A carriage return at the very end may be half of a line end, so it waits for the rest.
      const lines = unread.split(/\r\n|\n|\r(?!$)/);
      unread = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith("data:")) {
          data.push(line.slice(5).replace(/^ /, ""));
        } else if (line === "" && data.length > 0) {
          yield data.join("\n");
          data = [];
        }
      }
    }
  } finally {
    await reader.cancel();
  }
}
