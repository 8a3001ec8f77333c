import type { Notice } from "../api";

/** A notice of an emergency; screen readers announce it when it appears or changes. */
export function Alert({ notice: { kind, title, text, calls } }: { notice: Notice }) {
  return (
    <div className="alert" role="alert" data-kind={kind}>
      <svg viewBox="0 0 24 24" width="28" height="28" aria-hidden="true">
        <path fill="currentColor" d="M12 2 1 21h22L12 2Zm-1 7h2v6h-2V9Zm0 8h2v2h-2v-2Z" />
      </svg>
      <div>
        <strong>{title}</strong>
        <p>{text}</p>
        <p className="calls">
          {calls.map((call) => (
            <a key={call.number} href={`tel:${call.number}`}>
              {call.label}
            </a>
          ))}
        </p>
      </div>
    </div>
  );
}
