// What a picture can be looked for by; those that only the browser knows stand here, the others in data/rows.js.

const marked = new Map(); // name → the set of rows that have it
const KINDS = {
  wrong: isWrong,
  right: isRight,
  starred: (row) => decisions.get(row)?.star === true,
  noted: (row) => Boolean(decisions.get(row)?.note),
};

function startMarks() {
  for (const [name, rows] of Object.entries(data.marks)) marked.set(name, new Set(rows));
}

// Whether a picture is of a kind; nothing is of a kind that this report does not know.
const isKind = (row, name) => (KINDS[name] ? KINDS[name](row) : marked.get(name)?.has(row) === true);
const kindsOf = (state) => state.show.split(",").filter(Boolean);
