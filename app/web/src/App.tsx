import { useEffect, useRef, useState } from "react";
import { UNREACHABLE } from "./api";
import { Alert } from "./components/Alert";
import { Composer } from "./components/Composer";
import { MessageList } from "./components/MessageList";
import { SideBar } from "./components/SideBar";
import { noticeOf } from "./conversation";
import { DISCLAIMER } from "./disclaimer";
import { DEFAULTS, firstProblem, type Settings } from "./settings";
import { useStored } from "./stored";
import { useChat } from "./useChat";
import { useNarrow } from "./useNarrow";
import { useServer } from "./useServer";

export function App() {
  const [typed, setSettings] = useState<Settings>(DEFAULTS);
  const [key, setKey] = useStored(() => sessionStorage, "medtune.key", "");
  const [theme, setTheme] = useStored(() => localStorage, "medtune.theme", "system");
  const server = useServer(key);
  const model = server.models.includes(typed.model) ? typed.model : (server.models[0] ?? "");
  const settings = { ...typed, model };
  const problem = firstProblem(settings); // while it lasts, no question is sent
  const chat = useChat({ settings, key, onLost: server.lost });

  const notice = noticeOf(chat.conversation);

  const isNarrow = useNarrow();
  const [isOpened, setOpened] = useState(false);
  const isOver = isNarrow && isOpened; // the side bar lies over the conversation
  const opener = useRef<HTMLButtonElement>(null);
  const close = (): void => {
    setOpened(false);
    setTimeout(() => opener.current?.focus()); // it can be focused once the side bar has gone
  };

  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);

  return (
    <div className="app">
      <main inert={isOver}>
        <header>
          <h1>medtune</h1>
          <p>Medical questions, answered by a small language model</p>
          {isNarrow && (
            <button ref={opener} onClick={() => setOpened(true)} aria-expanded={isOpened}>
              Settings
            </button>
          )}
        </header>
        {!server.isUp && (
          <div className="banner" role="alert">
            <span>{UNREACHABLE} This page reconnects as soon as it is back.</span>
            <button onClick={server.check}>Try now</button>
          </div>
        )}
        <MessageList
          conversation={chat.conversation}
          onAsk={(question) => void (problem ?? chat.ask(question))}
          onRetry={() => void (problem ?? chat.retry())}
        />
        {notice && <Alert notice={notice} />}
        <Composer
          isAnswering={chat.isAnswering}
          problem={problem}
          onAsk={(question) => void chat.ask(question)}
          onStop={chat.stop}
        />
        <p className="disclaimer">{DISCLAIMER}</p>
      </main>
      {isOver && <div className="shade" onClick={close} />}
      {(isOpened || !isNarrow) && (
        <SideBar
          settings={settings}
          onSettings={setSettings}
          models={server.models}
          problem={server.problem}
          apiKey={key}
          onKey={setKey}
          theme={theme}
          onTheme={(chosen) => setTheme(chosen, true)}
          onNew={chat.clear}
          onClose={isNarrow ? close : undefined}
        />
      )}
    </div>
  );
}
