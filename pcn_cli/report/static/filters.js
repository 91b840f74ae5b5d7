// What a picture can be looked for by; what only the browser knows stands here, the rest in data/rows.js.

const filterRows = new Map(); // name → the set of rows that are of it
const FILTERS = {
  wrong: isWrong,
  right: isRight,
  starred: (row) => decisions.get(row)?.star === true,
  noted: (row) => Boolean(decisions.get(row)?.note),
};

function startFilters() {
  for (const [name, rows] of Object.entries(data.filters)) filterRows.set(name, new Set(rows));
}

// Whether a picture passes a filter; nothing passes one that this report does not know.
const passes = (row, name) => (FILTERS[name] ? FILTERS[name](row) : filterRows.get(name)?.has(row) === true);
const chosenFilters = (state) => state.show.split(",").filter(Boolean);
