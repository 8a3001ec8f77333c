function order(a, b) {
  if (typeof a === "string") return a < b ? -1 : a > b ? 1 : 0;
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  return a - b;
}

// Turns headings with a data-key into buttons that call sort(heading, descending).
function addSortButtons(table, sort) {
  for (const heading of table.tHead.querySelectorAll("th[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      markSorted(table, heading, descending);
      sort(heading, descending);
    });
  }
}

function markSorted(table, sorted, descending) {
  for (const heading of table.tHead.querySelectorAll("[aria-sort]")) heading.removeAttribute("aria-sort");
  sorted.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

function setUpParts(table) {
  const body = table.tBodies[0], rows = [...body.rows];
  addSortButtons(table, (heading, descending) => {
    const value = (row) => {
      const text = row.cells[heading.cellIndex].textContent;
      return heading.dataset.key === "number" ? parseFloat(text) : text;
    };
    const sign = descending ? -1 : 1;
    body.append(...rows.sort((a, b) => sign * order(value(a), value(b))));
  });
}

function setUpTheme(button) {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = dark() ? "Light colours" : "Dark colours"; };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    label();
  });
  button.hidden = false;
  label();
}

// Returns a table whose first column names its rows.
function tableOf(caption, columns, rows) {
  const table = document.createElement("table");
  table.createCaption().textContent = caption;
  const add = (parent, tag, text, scope) => {
    const cell = parent.appendChild(document.createElement(tag));
    cell.textContent = text;
    if (scope) cell.scope = scope;
  };
  const header = table.createTHead().insertRow();
  for (const name of columns) add(header, "th", name, "col");
  const body = table.createTBody();
  for (const [name, ...values] of rows) {
    const row = body.insertRow();
    add(row, "th", name, "row");
    for (const value of values) add(row, "td", value);
  }
  return table;
}

function paragraphsOf(lines) {
  return lines.map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  });
}

// Shows the costs in costs.js, unless the file is missing or belongs to another run.
function setUpCosts(place) {
  const costs = window.costs;
  if (costs?.run !== place.dataset.run) return;
  place.className = "scroll";
  place.replaceChildren(tableOf(costs.caption, costs.columns, costs.rows));
}

// Shows the opinion in judge.js, unless the file is missing or belongs to another run.
function setUpJudge(place) {
  const judge = window.judge;
  if (!judge || judge.run !== place.dataset.run) return;
  const share = (value) => (typeof value === "number" ? value.toFixed(2) : "n/a");
  place.replaceChildren(...paragraphsOf([
    `${judge.model} read ${judge.n} answers of the fine-tuned model beside those of ${judge.opponent}, in both orders: better in ${judge.wins}, equal in ${judge.ties}, worse in ${judge.losses}.`,
    `It gave the same verdict in both orders in a share of ${share(judge.consistency)} of the pairs. Its agreement with ROUGE-L is κ = ${share(judge.kappa)} (0 is chance, 1 is full agreement).`,
    "A language model's opinion is no measurement: it prefers long and confident answers.",
  ]));
}

// Shows the votes in votes.js, unless the file is missing or belongs to another run.
function setUpVotes(place) {
  const votes = window.votes;
  if (votes?.run !== place.dataset.run) return;
  const sentences = votes.lines.map((line) => `${line[0].toUpperCase()}${line.slice(1)}.`);
  place.replaceChildren(
    ...paragraphsOf([...sentences, "The answers stood side by side in random order, and nothing said which model had written which. Intervals cover the choice of questions, not that of voters."]),
    tableOf("Votes by kind of question", votes.columns, votes.rows),
  );
}

// Says that a table or picture goes on outside the screen.
function setUpScrolling(boxes) {
  const mark = () => {
    for (const box of boxes) box.classList.toggle("more", box.scrollWidth > box.clientWidth + 1);
  };
  addEventListener("resize", mark);
  mark();
}

setUpTheme(document.getElementById("theme"));
setUpCosts(document.getElementById("costs"));
document.querySelectorAll("table.sortable").forEach(setUpParts);
setUpAnswers(document.getElementById("list"), document.getElementById("filter"));
setUpJudge(document.getElementById("opinion"));
setUpVotes(document.getElementById("voted"));
setUpScrolling([...document.querySelectorAll(".scroll, .picture")]);
