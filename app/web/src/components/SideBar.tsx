import { type FormEvent, type KeyboardEvent, useState } from "react";
import { problemOf, type Settings } from "../settings";
import { Field } from "./Field";

const THEMES = ["system", "light", "dark"];

interface Props {
  settings: Settings;
  onSettings: (settings: Settings) => void;
  models: string[];
  /** One line on why there are no models. */
  problem: string | undefined;
  apiKey: string;
  onKey: (key: string, isKept: boolean) => void;
  theme: string;
  onTheme: (theme: string) => void;
  onNew: () => void;
  /** Given where the side bar lies over the conversation. */
  onClose: (() => void) | undefined;
}

export function SideBar(props: Props) {
  const { settings, onSettings, onClose, onNew } = props;
  const set = (name: keyof Settings) => (value: string) =>
    onSettings({ ...settings, [name]: value });
  const number = (name: "temperature" | "topP" | "maxTokens", label: string) => (
    <Field
      label={label}
      value={settings[name]}
      onChange={set(name)}
      problem={problemOf(settings, name)}
    />
  );

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key === "Escape") onClose?.();
  }

  function startAnew(): void {
    onNew();
    onClose?.();
  }

  return (
    <aside aria-label="Settings" onKeyDown={onKeyDown}>
      {onClose && (
        <button className="close" autoFocus onClick={onClose}>
          Close
        </button>
      )}
      <button onClick={startAnew}>New conversation</button>
      <label className="field">
        Model
        <select value={settings.model} onChange={(event) => set("model")(event.target.value)}>
          {props.models.map((model) => (
            <option key={model}>{model}</option>
          ))}
        </select>
      </label>
      {props.problem && <p className="wrong">{props.problem}</p>}
      {number("temperature", "Temperature")}
      {number("topP", "Top-p")}
      {number("maxTokens", "Maximum tokens")}
      <label className="field">
        System prompt
        <textarea
          rows={4}
          placeholder="default"
          value={settings.systemPrompt}
          onChange={(event) => set("systemPrompt")(event.target.value)}
        />
      </label>
      <KeyField apiKey={props.apiKey} onKey={props.onKey} />
      <label className="field">
        Appearance
        <select
          className="names"
          value={props.theme}
          onChange={(event) => props.onTheme(event.target.value)}
        >
          {THEMES.map((theme) => (
            <option key={theme}>{theme}</option>
          ))}
        </select>
      </label>
    </aside>
  );
}

function KeyField({ apiKey, onKey }: Pick<Props, "apiKey" | "onKey">) {
  const [isKept, setKept] = useState(apiKey !== "");
  return (
    <form onSubmit={(event: FormEvent) => event.preventDefault()}>
      <label className="field">
        API key
        <input
          type="password"
          autoComplete="off"
          placeholder="only if the server asks for one"
          value={apiKey}
          onChange={(event) => onKey(event.target.value, isKept)}
        />
      </label>
      <label className="check">
        <input
          type="checkbox"
          checked={isKept}
          onChange={(event) => {
            setKept(event.target.checked);
            onKey(apiKey, event.target.checked);
          }}
        />
        Keep the key until this tab is closed
      </label>
    </form>
  );
}
