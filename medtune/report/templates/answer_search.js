"use strict";
// The page has this and page.js as one script: order, addSortButtons and markSorted are there.

// Returns the rows that match the form, in its order; ties are sorted by id.
function select(rows, state) {
  const text = state.text.trim().toLowerCase();
  const found = rows.filter((row) =>
    (!state.kind || row.kind === state.kind) &&
    (!state.outcome || row.outcome === state.outcome) &&
    row.text.includes(text));
  const sign = state.descending ? -1 : 1;
  return found.sort((a, b) => sign * order(a[state.key], b[state.key]) || order(a.id, b.id));
}

function setUpAnswers(table, form) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((element) => ({
    ...element.dataset,
    words: Number(element.dataset.words),
    difference: Number(element.dataset.difference),
    text: element.textContent.toLowerCase(),
    element,
  }));
  let sorting = { key: "difference", descending: false };
  const value = (name) => form.elements[name]?.value ?? "";

  function update() {
    const state = { ...sorting, text: value("text"), kind: value("kind"), outcome: value("outcome") };
    const found = select(rows, state), shown = found.slice(0, Number(value("rows")));
    body.replaceChildren(...shown.map((row) => row.element));
    form.querySelector("output").textContent = `${shown.length} of ${found.length} shown`;
  }

  addSortButtons(table, (heading, descending) => {
    sorting = { key: heading.dataset.key, descending };
    update();
  });
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of form.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      form.reset();
      sorting = { key: "difference", descending: "descending" in button.dataset };
      markSorted(table, table.tHead.querySelector("[data-key=difference]"), sorting.descending);
      update();
    });
  }
  form.hidden = false;
  update();
}
