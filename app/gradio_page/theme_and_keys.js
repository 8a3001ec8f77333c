// Theme, keys, focus and the browser's storage, on which saved_conversations.js builds.
window.medtune = (() => {
	const THEME = "medtune-theme";
	const paint = (theme) => document.body.classList.toggle("dark", theme === "dark");

	function read(key) {
		try {
			return localStorage.getItem(key);
		} catch {
			return null; // storage is blocked
		}
	}

	function write(key, text) {
		try {
			localStorage.setItem(key, text);
			return true;
		} catch {
			return false; // blocked or full: it then lasts as long as the page
		}
	}

	function start() {
		if (read(THEME)) paint(read(THEME));
		for (const note of document.querySelectorAll(".note")) note.setAttribute("role", "status");
		return window.medtune.choices();
	}

	function switchTheme() {
		const theme = document.body.classList.contains("dark") ? "light" : "dark";
		paint(theme);
		write(THEME, theme);
	}

	// Gradio draws the panel some time after its event has ended.
	function focusRating(tries = 20) {
		const comment = document.querySelector("#rating textarea");
		if (comment?.offsetParent) comment.focus();
		else if (tries) setTimeout(focusRating, 50, tries - 1);
	}

	const focusQuestion = () => document.querySelector("#chat-question textarea").focus();

	document.addEventListener("keydown", (event) => {
		if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, textarea")) return;
		if (event.repeat) return; // a key that is held down would vote on the next pairs, too
		for (const row of ["#blind-votes", "#quiz-ratings"]) {
			const button = document.querySelectorAll(`${row} button`)["1234".indexOf(event.key)];
			if (button?.offsetParent) button.click();
		}
	});

	document.addEventListener("keydown", (event) => {
		if (event.key !== "Escape") return;
		const running = [...document.querySelectorAll("button.stop")].find((button) => button.offsetParent);
		running?.click();
	});
	return { focusQuestion, focusRating, read, start, switchTheme, write };
})();
