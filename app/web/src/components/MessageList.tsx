import { Fragment, useEffect, useRef } from "react";
import type { Conversation } from "../conversation";
import { TurnView } from "./TurnView";

const EXAMPLES = [
  "What is gout?",
  "What are the symptoms of asthma?",
  "What does a cardiologist do?",
];
const NEAR_PX = 80; // from the end, within which the list follows the answer

interface Props {
  conversation: Conversation;
  onAsk: (question: string) => void;
  onRetry: () => void;
}

export function MessageList({ conversation: { turns, left }, onAsk, onRetry }: Props) {
  const list = useRef<HTMLDivElement>(null);
  const follows = useRef(true);

  useEffect(() => {
    follows.current = true; // a new question is always shown
  }, [turns.length]);
  useEffect(() => {
    if (list.current && follows.current) list.current.scrollTop = list.current.scrollHeight;
  }, [turns]);

  function onScroll(): void {
    const { scrollHeight, scrollTop, clientHeight } = list.current!;
    follows.current = scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  return (
    <div
      className="list"
      ref={list}
      onScroll={onScroll}
      role="log"
      aria-live="polite"
      aria-label="Conversation"
      tabIndex={0}
    >
      {turns.length === 0 && (
        <div className="welcome">
          <h2>What would you like to know?</h2>
          {EXAMPLES.map((example) => (
            <button key={example} onClick={() => onAsk(example)}>
              {example}
            </button>
          ))}
        </div>
      )}
      {turns.map((turn, place) => (
        <Fragment key={turn.id}>
          {place > 0 && place === left && (
            <p className="note border">
              The messages above no longer fit and are not sent to the model.
            </p>
          )}
          <TurnView turn={turn} onRetry={place === turns.length - 1 ? onRetry : undefined} />
        </Fragment>
      ))}
    </div>
  );
}
