// The gallery: filters, order and page by page, so that 20,000 predictions never stand in the page at once.

const PER_PAGE = { pictures: 48, table: 100 };

// Row numbers that fit the filters, in the wanted order.
function selectRows(state) {
  const label = state.label ? data.names.indexOf(state.label) : -1;
  const predicted = state.predicted ? data.names.indexOf(state.predicted) : -1;
  const terms = parseQuery(state.find);
  const filters = chosenFilters(state);
  const rows = [];
  for (let row = 0; row < data.file.length; row += 1) {
    if (!filters.every((name) => passes(row, name))) continue;
    if (state.label && !placesOf(data.label[row]).includes(label)) continue;
    if (state.predicted && !placesOf(data.predicted[row]).includes(predicted)) continue;
    if (!terms.every((term) => term.test(row))) continue;
    rows.push(row);
  }
  return sortRows(rows, state);
}

// By group, then by the wanted order; the key of each row is found once, not at each comparison.
function sortRows(rows, state) {
  const order = orders[sortOf(state)] ?? (() => 0);
  const keys = new Float64Array(data.file.length);
  for (const row of rows) keys[row] = order(row);
  const falling = (a, b) => keys[b] - keys[a] || a - b;
  const group = groupOf(state);
  if (!group) return rows.sort(falling);
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  return rows.sort((a, b) => compare(group(a), group(b)) || falling(a, b));
}

// The words that pictures are put together by.
const GROUPS = { label: (row) => labelOf(row) || "no label", said: predictedOf };
const groupOf = (state) => GROUPS[state.group];

// What is large comes first; a number that is unknown counts as the largest.
const known = (value) => (value === null ? Number.MAX_VALUE : value);
const orders = {
  // A mistake is worse than any doubt; the loss orders both.
  loss: (row) => (isWrong(row) ? 1e6 : 0) + Math.min(known(data.loss[row]), 1e5),
  unsure: (row) => -data.confidence[row],
  sure: (row) => data.confidence[row],
  wide: (row) => data.mass50[row] ?? -1,
  border: (row) => data.border[row] ?? -1,
  srg: (row) => data.srg[row] ?? -2,
  "srg-low": (row) => -(data.srg[row] ?? 2),
  file: null,
};
const sortOf = (state) => (state.sort in orders ? state.sort : data.labelled ? "loss" : "unsure");

let shown = []; // the rows of the current filters, for the gallery and for stepping through the pictures
let shownFilters = ""; // the filters that `shown` belongs to
let drawn = ""; // what the gallery holds now: filters, page, form

const filtersOf = (state) => JSON.stringify([state.show, state.label, state.predicted, state.find, sortOf(state), state.group]);

function refreshShown(state) {
  if (filtersOf(state) === shownFilters) return;
  shown = selectRows(state);
  shownFilters = filtersOf(state);
}

function drawGallery(state) {
  refreshShown(state);
  const table = state.as === "table";
  const size = table ? PER_PAGE.table : PER_PAGE.pictures;
  const last = Math.max(1, Math.ceil(shown.length / size));
  const page = Math.min(Math.max(1, Math.floor(Number(state.page)) || 1), last);
  const key = JSON.stringify([shownFilters, page, state.as]);
  byId("tiles").dataset.size = sizeOf(state);
  if (key !== drawn) {
    drawn = key;
    drawPage(shown.slice((page - 1) * size, page * size), state, table);
    drawCount();
  }
  drawPager("", page, last, state);
  for (const link of byId("tiles").querySelectorAll(".tile")) {
    link.querySelector("a").href = addressOf({ ...state, photo: link.dataset.row });
  }
  drawFilters(state);
  paintTiles(byId("tiles"), lookOf(state));
}

function drawPage(rows, state, table) {
  byId("tiles").hidden = table || rows.length === 0;
  byId("list").hidden = !table || rows.length === 0;
  byId("nothing").hidden = rows.length > 0;
  byId("tiles").replaceChildren(...(table ? [] : makeTiles(rows, state)));
  byId("lines").replaceChildren(...(table ? rows.map((row) => makeLine(row, state)) : []));
}

// The tiles, with a heading before the first of each group.
function makeTiles(rows, state) {
  const group = groupOf(state);
  if (!group) return rows.map((row) => makeTile(row, state));
  const totals = Map.groupBy(shown, group);
  return rows.flatMap((row, at) => {
    const name = group(row);
    const tile = makeTile(row, state);
    if (at && group(rows[at - 1]) === name) return [tile];
    const heading = document.createElement("li");
    heading.className = "group";
    heading.append(Object.assign(document.createElement("h2"), { className: "name", textContent: name }));
    heading.append(Object.assign(document.createElement("span"), { className: "count", textContent: plural(totals.get(name).length, "picture") }));
    return [heading, tile];
  });
}

const sizeOf = (state) => (/^[1-5]$/.test(state.size) ? state.size : "3");

function makeLine(row, state) {
  const line = byId("list-line").content.firstElementChild.cloneNode(true);
  const put = (selector, text) => { if (line.querySelector(selector)) line.querySelector(selector).textContent = text; };
  line.classList.toggle("wrong", isWrong(row));
  line.querySelector("a").href = addressOf({ ...state, photo: row });
  put("a", data.file[row]);
  put(".label", labelOf(row) || "–");
  put(".predicted", `${isWrong(row) ? "✕\u00a0" : isRight(row) ? "✓\u00a0" : ""}${predictedOf(row)}`);
  put(".confidence", percent(data.confidence[row]));
  put(".loss", data.loss[row] === null ? "–" : data.loss[row].toFixed(3));
  return line;
}

function drawCount() {
  const all = data.file.length;
  const text = shown.length === all ? plural(all, "picture") : `${shown.length.toLocaleString("en")} of ${plural(all, "picture")}`;
  byId("count").textContent = text;
}

// The links of the pager whose elements' names begin with `prefix`.
function drawPager(prefix, page, last, state) {
  const named = (name) => (prefix ? `${prefix}-${name}` : name);
  byId(named("pager")).hidden = last < 2;
  byId(named("where")).textContent = `Page ${page} of ${last}`;
  for (const [id, target] of [[named("previous-page"), page - 1], [named("next-page"), page + 1]]) {
    const possible = target >= 1 && target <= last;
    byId(id).classList.toggle("off", !possible);
    if (possible) {
      byId(id).href = addressOf({ ...state, page: target });
    } else {
      byId(id).removeAttribute("href");
    }
  }
}

function drawFilters(state) {
  const values = { ...state, sort: sortOf(state), look: lookOf(state), size: sizeOf(state) };
  for (const field of byId("filters").elements) {
    if (field.type === "radio") {
      field.checked = field.value === values[field.name];
    } else if (field.type === "checkbox") {
      field.checked = chosenFilters(state).includes(field.value);
    } else if (field.name && field !== document.activeElement) {
      field.value = values[field.name];
    }
  }
  drawQuery(state.find);
  byId("clear").hidden = !["show", "label", "predicted", "find"].some((word) => state[word]);
}

function startGallery() {
  const form = byId("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    const { name, value, type } = event.target;
    if (!name) return;
    const chosen = type === "checkbox" ? [...form.querySelectorAll(`[name="${name}"]:checked`)].map((field) => field.value).join(",") : value;
    go({ [name]: chosen, page: ["look", "size"].includes(name) ? readAddress().page : "" });
  });
  form.addEventListener("input", (event) => {
    const { name, value, list } = event.target;
    if (["find", "size"].includes(name)) go({ [name]: value, ...(name === "find" ? { page: "" } : {}) }, { replace: true });
    else if (list) offerNames(value);
  });
  byId("more-filters").open = matchMedia("(min-width: 40.01rem)").matches;
  byId("clear").addEventListener("click", () => {
    go({ show: "", label: "", predicted: "", find: "", page: "" });
    byId("gallery-title").focus();
  });
  for (const list of document.querySelectorAll(".tiles")) list.addEventListener("keydown", walkTiles);
}

// The first names that hold what was typed, where there are too many for a list.
function offerNames(text) {
  const wanted = text.toLowerCase();
  const names = data.names.filter((name) => name.toLowerCase().includes(wanted)).slice(0, 20);
  byId("names").replaceChildren(...names.map((name) => {
    const option = document.createElement("option");
    option.value = name;
    return option;
  }));
}

starters.push(startGallery);
drawers.gallery = drawGallery;
