// Stars and notes. They live in stars.csv, which a person saves and loads; the browser keeps a copy for convenience.

const decisions = new Map(); // row → { star, note }
let rowsByFile = null; // file name → row, made when a table is loaded

const storageKey = () => `pcn-decisions-${data.id}`;

function startDecisions() {
  try {
    for (const [row, kept] of JSON.parse(localStorage.getItem(storageKey()) ?? "[]")) decide(row, kept, { keep: false });
  } catch {
    // A browser may refuse to keep anything; the table is what counts.
  }
  byId("save-decisions").addEventListener("click", saveDecisions);
  byId("load-decisions").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) loadDecisions(await file.text());
    event.target.value = "";
  });
  byId("star").addEventListener("click", () => { if (opened) change({ star: !decisions.get(opened.row)?.star }); });
  byId("note").addEventListener("input", (event) => { if (opened) change({ note: event.target.value }); });
  tellDecisions();
}

function change(part) {
  decide(opened.row, { star: false, note: "", ...decisions.get(opened.row), ...part });
  shownFilters = "";
  showDecision(opened.row);
}

// Set what was decided about one picture; nothing decided is not kept.
function decide(row, { star, note }, { keep = true } = {}) {
  if (!Number.isInteger(row) || row < 0 || row >= data.file.length) return;
  if (star || note) decisions.set(row, { star: Boolean(star), note: String(note) });
  else decisions.delete(row);
  for (const tile of document.querySelectorAll(`.tile[data-row="${row}"]`)) tile.classList.toggle("starred", Boolean(star));
  if (!keep) return;
  try {
    localStorage.setItem(storageKey(), JSON.stringify([...decisions]));
  } catch {
    // As above.
  }
  tellDecisions();
}

function tellDecisions() {
  const stars = [...decisions.values()].filter((one) => one.star).length;
  const notes = [...decisions.values()].filter((one) => one.note).length;
  byId("decided").textContent = decisions.size ? `★ ${stars.toLocaleString("en")} · ${plural(notes, "note")}` : "Nothing starred yet";
  byId("save-decisions").disabled = decisions.size === 0;
}

// The star and the note of the picture that is open.
function showDecision(row) {
  const { star = false, note = "" } = decisions.get(row) ?? {};
  byId("star").setAttribute("aria-pressed", String(star));
  if (byId("note").value !== note) byId("note").value = note;
}

// A cell that no table program takes for a formula: a quote stands before what could be one, and before a quote.
const guard = (text) => (/^['=+\-@\t\r]/.test(text) ? `'${text}` : text);
const unguard = (text) => (/^'['=+\-@\t\r]/.test(text) ? text.slice(1) : text);
const cell = (text) => `"${guard(text).replaceAll('"', '""')}"`;

function decisionsTable() {
  const lines = [...decisions].sort(([a], [b]) => a - b).map(([row, { star, note }]) =>
    [data.file[row], labelOf(row), predictedOf(row), star ? "yes" : "no", note].map(cell).join(","));
  return `${["file,label,predicted,starred,note", ...lines].join("\r\n")}\r\n`;
}

function saveDecisions() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", decisionsTable()], { type: "text/csv;charset=utf-8" }));
  link.download = "stars.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Take over a table that was saved; what it says of a picture replaces what stood here.
function loadDecisions(text) {
  const [head = [], ...lines] = parseTable(text.replace(/^\ufeff/, ""));
  const at = Object.fromEntries(["file", "starred", "note"].map((name) => [name, head.indexOf(name)]));
  if (at.file < 0 || at.starred < 0) {
    byId("decided").textContent = "This is no table of stars: it has no columns file and starred.";
    return;
  }
  rowsByFile ??= new Map(data.file.map((file, row) => [file, row]));
  let strangers = 0;
  for (const line of lines) {
    const row = rowsByFile.get(unguard(line[at.file] ?? ""));
    if (row === undefined) strangers += 1;
    else decide(row, { star: line[at.starred] === "yes", note: unguard(line[at.note] ?? "") });
  }
  if (strangers) byId("decided").textContent += `; ${plural(strangers, "file")} of the table not in this report`;
  shownFilters = "";
  follow();
}

// The rows of a table with commas and double quotes (RFC 4180); empty lines are left out.
function parseTable(text) {
  const rows = [[]];
  for (const [, quoted, bare, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1).push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end !== ",") rows.push([]);
  }
  return rows.filter((row) => row.length > 1 || row[0]);
}
