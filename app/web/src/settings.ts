import type { ChatRequest } from "./api";

/** As typed; the server decides what is left empty. */
export interface Settings {
  model: string;
  temperature: string;
  topP: string;
  maxTokens: string;
  systemPrompt: string;
}

export const DEFAULTS: Settings = {
  model: "",
  temperature: "",
  topP: "",
  maxTokens: "",
  systemPrompt: "",
};

type NumberSetting = "temperature" | "topP" | "maxTokens";

interface Rule {
  isRight: (value: number) => boolean;
  says: string;
}

const RULES: Record<NumberSetting, Rule> = {
  temperature: {
    isRight: (value) => value >= 0 && value <= 2,
    says: "Temperature must be a number from 0 to 2.",
  },
  topP: {
    isRight: (value) => value > 0 && value <= 1,
    says: "Top-p must be a number above 0 and at most 1.",
  },
  maxTokens: {
    isRight: (value) => Number.isSafeInteger(value) && value >= 1,
    says: "Maximum tokens must be a whole number above 0.",
  },
};

function numberOf(text: string): number | undefined {
  return text.trim() ? Number(text.replace(",", ".")) : undefined;
}

/** One line on what is wrong with a number, if anything is. */
export function problemOf(settings: Settings, name: NumberSetting): string | undefined {
  const value = numberOf(settings[name]);
  return value === undefined || RULES[name].isRight(value) ? undefined : RULES[name].says;
}

/** One line on why a question cannot be sent, if it cannot. */
export function firstProblem(settings: Settings): string | undefined {
  const names: NumberSetting[] = ["temperature", "topP", "maxTokens"];
  return names.map((name) => problemOf(settings, name)).find((problem) => problem !== undefined);
}

/** The settings as the API takes them; JSON leaves out what is undefined. */
export function toRequest(settings: Settings): Omit<ChatRequest, "messages"> {
  return {
    model: settings.model,
    temperature: numberOf(settings.temperature),
    top_p: numberOf(settings.topP),
    max_completion_tokens: numberOf(settings.maxTokens),
  };
}
