import { readEvents } from "./sse";

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface ChatRequest {
  model: string;
  messages: Message[];
  temperature?: number;
  top_p?: number;
  max_completion_tokens?: number;
}

const RETRY_AFTER_S = 5; // if a busy server does not say
const PATIENCE_MS = 5000; // to wait for a server that does not respond
const NO_KEY = "The API key is missing or wrong: enter it under Settings.";

/** `time` is a server that has cut the answer at its time limit. */
export type FinishReason = "stop" | "length" | "time";

/** About an emergency: what it may be, what to do, and whom to call. */
export interface Notice {
  kind: string;
  title: string;
  text: string;
  calls: { label: string; number: string }[];
}

interface ErrorDetail {
  message: string;
  param?: string | null;
}

/** The server has refused a request, or an answer has failed; the message is one line. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly param: string | null = null,
    readonly retryAfterS = RETRY_AFTER_S,
  ) {
    super(message);
  }

  /** Whether the conversation has too many messages, tokens or bytes. */
  get isTooLong(): boolean {
    return this.status === 413 || this.param === "messages";
  }
}

export const UNREACHABLE = "The server cannot be reached.";

/** The server cannot be reached, or was lost in the middle of an answer. */
export class ConnectionError extends Error {}

async function request(path: string, key: string, init: RequestInit = {}): Promise<Response> {
  if (/[^ -~]/.test(key)) throw new ApiError(401, NO_KEY); // no header can hold it
  const headers = new Headers(init.headers);
  if (key) headers.set("Authorization", `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: "no-store" });
  } catch (problem) {
    if (init.signal?.aborted) throw problem;
    throw new ConnectionError(UNREACHABLE);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response: Response): Promise<Error> {
  const { status, headers } = response;
  const body: unknown = await response.json().catch(() => null);
  const detail = (body as { error?: ErrorDetail } | null)?.error;
  if (!detail && status >= 502) return new ConnectionError(UNREACHABLE); // a proxy
  return new ApiError(
    status,
    status === 401 ? NO_KEY : (detail?.message ?? `The server answered with status ${status}.`),
    detail?.param,
    Number(headers.get("Retry-After")) || RETRY_AFTER_S,
  );
}

/** Whether the server responds, even if it is busy. */
export async function isReachable(): Promise<boolean> {
  try {
    await request("/ready", "", { signal: AbortSignal.timeout(PATIENCE_MS) });
    return true;
  } catch (problem) {
    return problem instanceof ApiError && problem.status === 503;
  }
}

export async function listModels(key: string, signal: AbortSignal): Promise<string[]> {
  const response = await request("/v1/models", key, { signal });
  const list = (await response.json()) as { data: { id: string }[] };
  return list.data.map((model) => model.id);
}

/**
 * Hands the answer to `onText` piece by piece; aborting it stops the computation as well. A notice,
 * which is the answer's first paragraph, goes to `onNotice` instead.
 */
export async function complete(
  body: ChatRequest,
  key: string,
  signal: AbortSignal,
  onText: (text: string) => void,
  onNotice: (notice: Notice) => void,
): Promise<FinishReason> {
  const response = await request("/v1/chat/completions", key, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  let reason: FinishReason | null = null;
  let isAfterNotice = false;
  try {
    for await (const data of readEvents(response.body!)) {
      if (data === "[DONE]") break;
      const event = JSON.parse(data) as Chunk;
      if (event.error) throw new ApiError(response.status, event.error.message);
      const choice = event.choices[0];
      if (event.notice) {
        onNotice(event.notice);
        isAfterNotice = true;
      } else if (choice?.delta.content) {
        onText(isAfterNotice ? choice.delta.content.trimStart() : choice.delta.content);
        isAfterNotice = false;
      }
      reason = choice?.timed_out ? "time" : (choice?.finish_reason ?? reason);
    }
  } catch (problem) {
    if (!(problem instanceof TypeError)) throw problem; // as browsers report a lost connection
  }
  if (!reason)
    throw new ConnectionError("The connection was lost before the answer was complete.");
  return reason;
}

interface Chunk {
  choices: {
    delta: { content?: string };
    finish_reason: "stop" | "length" | null;
    timed_out?: boolean;
  }[];
  notice?: Notice;
  error?: ErrorDetail;
}
