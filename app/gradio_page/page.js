// The theme switch, the Escape key and the keys of the blind test; Gradio does the rest.
window.medtune = (() => {
	const KEY = "medtune-theme";
	const paint = (theme) => document.body.classList.toggle("dark", theme === "dark");
	const stored = () => {
		try {
			return localStorage.getItem(KEY);
		} catch {
			return null; // storage is blocked
		}
	};

	function start() {
		if (stored()) paint(stored());
		for (const note of document.querySelectorAll(".note")) note.setAttribute("role", "status");
	}

	function switchTheme() {
		const theme = document.body.classList.contains("dark") ? "light" : "dark";
		paint(theme);
		try {
			localStorage.setItem(KEY, theme);
		} catch {
			// it then lasts as long as the page
		}
	}

	// Gradio draws the panel some time after its event has ended.
	function focusRating(tries = 20) {
		const comment = document.querySelector("#rating textarea");
		if (comment?.offsetParent) comment.focus();
		else if (tries) setTimeout(focusRating, 50, tries - 1);
	}

	document.addEventListener("keydown", (event) => {
		if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, textarea")) return;
		if (event.repeat) return; // a key that is held down would vote on the next pairs, too
		const button = document.querySelectorAll("#blind-votes button")["1234".indexOf(event.key)];
		if (button?.offsetParent) button.click();
	});

	document.addEventListener("keydown", (event) => {
		if (event.key !== "Escape") return;
		const running = [...document.querySelectorAll("button.stop")].find((button) => button.offsetParent);
		running?.click();
	});
	return { focusRating, start, switchTheme };
})();
