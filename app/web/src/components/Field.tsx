import { useId } from "react";

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
  problem: string | undefined;
}

/** A number, typed as text, so that a mistake stays visible. */
export function Field({ label, value, onChange, problem }: Props) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        inputMode="decimal"
        autoComplete="off"
        placeholder="default"
        value={value}
        onChange={(event) => onChange(event.target.value)}
        aria-invalid={problem !== undefined}
        aria-describedby={`${id}-problem`}
      />
      {problem && (
        <p id={`${id}-problem`} className="wrong">
          {problem}
        </p>
      )}
    </div>
  );
}
