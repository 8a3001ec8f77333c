import type { Turn } from "../conversation";

const HELP_FIRST = "Please get help first."; // where a notice is all that the assistant can say

interface Props {
  turn: Turn;
  onRetry: (() => void) | undefined;
}

export function TurnView({ turn, onRetry }: Props) {
  const { question, answer, notice, ending, model, problem, retryInS } = turn;
  return (
    <article aria-busy={!ending}>
      <p className="question">
        <span className="hidden">You: </span>
        {question}
      </p>
      <p className="who">{model}</p>
      <p className="answer">
        {answer || (notice && ending && HELP_FIRST)}
        {!ending && !retryInS && <span className="caret" />}
      </p>
      {!ending && !!retryInS && (
        <p className="note">The server is busy: asking again in {retryInS} s.</p>
      )}
      {ending === "stopped" && <p className="note">Stopped.</p>}
      {ending === "length" && <p className="note">Cut at the maximum length.</p>}
      {ending === "time" && <p className="note">Cut at the server's time limit.</p>}
      {ending === "failed" && (
        <div className="problem">
          <span>{problem}</span>
          {onRetry && <button onClick={onRetry}>Retry</button>}
        </div>
      )}
    </article>
  );
}
