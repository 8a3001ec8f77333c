import { type FormEvent, type KeyboardEvent, useState } from "react";

interface Props {
  isAnswering: boolean;
  /** One line on why nothing can be sent. */
  problem: string | undefined;
  onAsk: (question: string) => void;
  onStop: () => void;
}

export function Composer({ isAnswering, problem, onAsk, onStop }: Props) {
  const [text, setText] = useState("");

  function send(event: FormEvent): void {
    event.preventDefault();
    if (isAnswering || problem || !text.trim()) return;
    onAsk(text.trim());
    setText("");
  }

  function onKeyDown(event: KeyboardEvent): void {
    const isComposed = event.nativeEvent.isComposing; // Enter chooses a character
    if (event.key === "Enter" && !event.shiftKey && !isComposed) send(event);
    if (event.key === "Escape") onStop();
  }

  return (
    <form className="composer" onSubmit={send}>
      {problem && <p role="alert">{problem}</p>}
      <textarea
        aria-label="Your question"
        placeholder="Ask a medical question"
        rows={2}
        autoFocus
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {isAnswering ? (
        <button type="button" onClick={onStop}>
          Stop
        </button>
      ) : (
        <button type="submit" className="main" disabled={!text.trim() || problem !== undefined}>
          Send
        </button>
      )}
    </form>
  );
}
