// The conversations that this browser keeps, because the server forgets them;
// saved_conversations.py shows them.
Object.assign(window.medtune, (() => {
	const HISTORY = "medtune-conversations";
	const MOST = 50; // conversations
	const MOST_SENT = 20000; // bytes of a conversation that is opened; its oldest turns are left out
	const NAMES = { finetuned: "Fine-tuned", base: "Base" };
	const { read, write } = window.medtune;

	function conversations() {
		try {
			const found = JSON.parse(read(HISTORY) ?? "[]");
			return found.filter((each) => each.id && each.turns.length);
		} catch {
			return []; // not what this page has written
		}
	}

	// Returns the list of conversations, newest first, as an update of gr.Dropdown.
	function choices(value = null) {
		const title = ({ turns, date }) => `${date}: ${turns[0].question.slice(0, 60)}`;
		const options = conversations().map((each) => [title(each), each.id]);
		return { __type__: "update", choices: options, value };
	}

	const same = (one, other) => one.question === other?.question && one.answer === other?.answer;

	// Returns where turns go on in a conversation that is kept: the server leaves out the oldest ones.
	function place(turns, kept) {
		let start = 0, most = 0;
		for (const first of kept.keys()) {
			const differs = turns.findIndex((turn, n) => !same(turn, kept[first + n]));
			const equal = differs < 0 ? turns.length : differs;
			if (equal && equal >= most) [start, most] = [first, equal];
		}
		return { start, isKnown: most === turns.length && start + most === kept.length };
	}

	function keep(text) {
		const now = text ? JSON.parse(text) : null;
		if (now) {
			const all = conversations(), before = all.find((each) => each.id === now.id)?.turns ?? [];
			const { start, isKnown } = place(now.turns, before);
			if (isKnown) return choices(now.id); // it was opened
			const turns = [...before.slice(0, start), ...now.turns];
			const newest = { ...now, turns, date: new Date().toLocaleDateString("sv") };
			let kept = [newest, ...all.filter((each) => each.id !== now.id)].slice(0, MOST);
			while (!write(HISTORY, JSON.stringify(kept)) && kept.length > 1) kept = kept.slice(0, -1);
		}
		return choices(now?.id);
	}

	function forget(id) {
		write(HISTORY, JSON.stringify(conversations().filter((each) => each.id !== id)));
		return choices();
	}

	function forgetAll() {
		write(HISTORY, "[]");
		return choices();
	}

	// Returns a conversation as the server takes it.
	function saved(id) {
		const found = conversations().find((each) => each.id === id);
		if (!found) return "";
		const turns = found.turns.map(({ question, answer, model }) => ({ question, answer, model })).slice(-30);
		const text = () => JSON.stringify({ id, turns });
		while (turns.length > 1 && new Blob([JSON.stringify(text())]).size > MOST_SENT) turns.shift();
		return text();
	}

	async function copy(text) {
		const { answer } = JSON.parse(text).turns.at(-1);
		try {
			await navigator.clipboard.writeText(answer);
		} catch { // browsers have no clipboard for pages without TLS
			const area = document.body.appendChild(document.createElement("textarea"));
			area.value = answer;
			area.select();
			document.execCommand("copy");
			area.remove();
		}
		return "Copied.";
	}

	function markdownOf({ turns }) {
		const disclaimer = document.querySelector("#disclaimer").innerText.trim();
		const said = turns.map(({ question, answer, model }) => {
			const quoted = question.split("\n").map((line) => `> ${line}`).join("\n");
			return `${quoted}\n\n**${NAMES[model] ?? model}:** ${answer}`;
		});
		return `# Conversation with medtune\n\n${disclaimer}\n\n${said.join("\n\n")}\n`;
	}

	function download(text, kind) {
		if (!text) return "There is no conversation yet.";
		const conversation = JSON.parse(text);
		const content = kind === "md" ? markdownOf(conversation) : JSON.stringify(conversation, null, 2) + "\n";
		const link = document.createElement("a");
		link.href = URL.createObjectURL(new Blob([content], { type: "text/plain" }));
		link.download = `medtune-${conversation.id}.${kind}`;
		link.click();
		setTimeout(() => URL.revokeObjectURL(link.href), 1000);
		return `Saved as ${link.download}.`;
	}

	return { choices, copy, download, forget, forgetAll, keep, saved };
})());
