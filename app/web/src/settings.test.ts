import { expect, test } from "vitest";
import { DEFAULTS, firstProblem, problemOf, toRequest } from "./settings";

test("what is empty is not sent", () => {
  expect(JSON.parse(JSON.stringify(toRequest({ ...DEFAULTS, model: "base" })))).toEqual({
    model: "base",
  });
});

test("numbers are sent as numbers, with a comma too", () => {
  const typed = { ...DEFAULTS, model: "base", temperature: "0,7", topP: " 0.9", maxTokens: "64" };
  expect(firstProblem(typed)).toBeUndefined();
  expect(toRequest(typed)).toEqual({
    model: "base",
    temperature: 0.7,
    top_p: 0.9,
    max_completion_tokens: 64,
  });
});

test.each([
  ["temperature", ["0", "2", "1.5"], ["-0.1", "2.1", "hot", "1e"]],
  ["topP", ["0.01", "1"], ["0", "1.01", "all"]],
  ["maxTokens", ["1", "512"], ["0", "-1", "1.5", "many", "Infinity"]],
] as const)("%s has a range", (name, right, wrong) => {
  for (const text of right) expect(problemOf({ ...DEFAULTS, [name]: text }, name)).toBeUndefined();
  for (const text of wrong) {
    const settings = { ...DEFAULTS, [name]: text };
    expect(problemOf(settings, name)).toMatch(/number/);
    expect(firstProblem(settings)).toBe(problemOf(settings, name));
  }
});
