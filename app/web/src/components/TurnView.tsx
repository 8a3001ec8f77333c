import type { Turn } from "../conversation";

interface Props {
  turn: Turn;
  onRetry: (() => void) | undefined;
}

export function TurnView({ turn, onRetry }: Props) {
  const { question, answer, ending, model, problem, retryInS } = turn;
  return (
    <article aria-busy={!ending}>
      <p className="question">
        <span className="hidden">You: </span>
        {question}
      </p>
      <p className="who">{model}</p>
      <p className="answer">
        {answer}
        {!ending && !retryInS && <span className="caret" />}
      </p>
      {!ending && !!retryInS && (
        <p className="note">The server is busy: asking again in {retryInS} s.</p>
      )}
      {ending === "stopped" && <p className="note">Stopped.</p>}
      {ending === "length" && <p className="note">Cut at the maximum length.</p>}
      {ending === "failed" && (
        <div className="problem">
          <span>{problem}</span>
          {onRetry && <button onClick={onRetry}>Retry</button>}
        </div>
      )}
    </article>
  );
}
