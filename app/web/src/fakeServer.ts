import { vi } from "vitest";

interface Request {
  path: string;
  headers: Headers;
  signal: AbortSignal | null | undefined;
  body: { messages: { content: string }[]; [name: string]: unknown };
}

type Reply = (signal: AbortSignal | null | undefined) => Response;

/** Replaces fetch: answers questions with `replies` in turn, and repeats the last one. */
export class FakeServer {
  questions: Request[] = [];
  replies: Reply[] = [];
  models = ["finetuned", "base"];
  modelRequests: Request[] = [];
  isThere = true;
  key = "";

  constructor() {
    vi.stubGlobal("fetch", async (path: string, init: RequestInit = {}) => this.answer(path, init));
  }

  private answer(path: string, { headers, signal, body }: RequestInit): Response {
    if (!this.isThere) throw new TypeError("Failed to fetch");
    const sent =
      typeof body === "string" ? (JSON.parse(body) as Request["body"]) : { messages: [] };
    const request = { path, headers: new Headers(headers), signal, body: sent };
    if (path === "/ready") return json(200, { status: "ready" });
    if (path === "/v1/models") this.modelRequests.push(request);
    if (this.key && request.headers.get("Authorization") !== `Bearer ${this.key}`) {
      return json(401, { error: { message: "send Authorization: Bearer KEY" } });
    }
    if (path === "/v1/models") {
      return json(200, { data: this.models.map((id) => ({ id })) });
    }
    this.questions.push(request);
    const reply = this.replies.length > 1 ? this.replies.shift() : this.replies[0];
    return reply!(signal);
  }
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers });
}

export function refusal(
  status: number,
  message: string,
  { param = null as string | null, retryAfter = "" } = {},
): Reply {
  const headers: Record<string, string> = retryAfter ? { "Retry-After": retryAfter } : {};
  return () => json(status, { error: { message, param } }, headers);
}

/** An answer that is said piece by piece while a test watches. */
export class Speech {
  private controller!: ReadableStreamDefaultController<Uint8Array>;

  readonly reply: Reply = (signal) => {
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.controller = controller),
    });
    signal?.addEventListener("abort", () => this.controller.error(signal.reason));
    return new Response(stream);
  };

  send(event: unknown): void {
    const data = typeof event === "string" ? event : JSON.stringify(event);
    this.controller.enqueue(new TextEncoder().encode(`data: ${data}\n\n`));
  }

  say(content: string): void {
    this.send({ choices: [{ delta: { content }, finish_reason: null }] });
  }

  end(finish_reason = "stop"): void {
    this.send({ choices: [{ delta: {}, finish_reason }] });
    this.send("[DONE]");
    this.controller.close();
  }

  breakOff(): void {
    this.controller.error(new TypeError("network error"));
  }
}

/** An answer that is there at once. */
export function answers(text: string, finishReason = "stop"): Reply {
  return (signal) => {
    const speech = new Speech();
    const response = speech.reply(signal);
    speech.say(text);
    speech.end(finishReason);
    return response;
  };
}
