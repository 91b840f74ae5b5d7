// The desk: one photo after the other is decided about, by keys or buttons. The browser keeps what was decided; the table
// that is saved is what `pcn finetune --decisions` reads.

let desk = null; // the content of data/desk.js, with the card that is shown and what was decided
const DESK_KEYS = 9;

starters.push(() => {
  if (!byId("desk-work")) return;
  loadChunk("desk").then((content) => {
    desk = { ...content, at: 0, decided: new Map(), done: [] };
    recallDesk();
    startDesk();
    desk.at = nextOpen(-1);
    byId("desk-work").hidden = false;
    drawDesk();
  }).catch((error) => showTrouble(error.message));
});

const deskKey = () => `pcn-desk-${data.id}`;

// What was decided lives by the content of the photo, so that a report that is written again knows it.
function recallDesk() {
  try {
    const kept = new Map(JSON.parse(localStorage.getItem(deskKey()) ?? "[]"));
    desk.cards.forEach((card, at) => { if (kept.has(card.sha256)) takeDecision(at, kept.get(card.sha256)); });
  } catch {
    // A browser may refuse to keep anything; the table is what counts.
  }
}

function keepDesk() {
  try {
    localStorage.setItem(deskKey(), JSON.stringify([...desk.decided].map(([at, one]) => [desk.cards[at].sha256, one])));
  } catch {
    // As above.
  }
}

// Take over a decision if it is one: a browser's memory and a table may hold anything.
function takeDecision(at, one) {
  const verdict = one?.decision;
  const label = desk.classes.indexOf(one?.label);
  if (["keep", "remove"].includes(verdict)) desk.decided.set(at, { decision: verdict, label: "" });
  else if (["change", "add"].includes(verdict) && label >= 0) desk.decided.set(at, { decision: verdict, label: one.label });
}

function startDesk() {
  byId("desk-keep").addEventListener("click", () => decideCard("keep"));
  byId("desk-remove").addEventListener("click", () => decideCard("remove"));
  byId("desk-undo").addEventListener("click", undoDesk);
  byId("desk-back").addEventListener("click", () => turnDesk(-1));
  byId("desk-next").addEventListener("click", () => turnDesk(1));
  byId("desk-save").addEventListener("click", saveDesk);
  byId("desk-load").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) loadDesk(await file.text());
    event.target.value = "";
  });
  for (const item of document.querySelectorAll("#desk-list li")) {
    const open = document.createElement("button");
    open.type = "button";
    open.className = "desk-open";
    open.append(...item.childNodes);
    open.addEventListener("click", () => {
      desk.at = Number(item.dataset.card);
      drawDesk();
      byId("desk-work").scrollIntoView();
      byId("desk-question").focus({ preventScroll: true });
    });
    item.append(open);
  }
  addEventListener("keydown", pressDesk);
}

function pressDesk(event) {
  if (current !== "desk" || event.altKey || event.ctrlKey || event.metaKey || event.repeat) return;
  if (document.querySelector("dialog[open]") || event.target.closest("input, select, textarea, nav")) return;
  const key = event.key.toLowerCase();
  const act = {
    k: () => decideCard("keep"),
    r: () => decideCard("remove"),
    u: undoDesk,
    arrowright: () => turnDesk(1),
    arrowleft: () => turnDesk(-1),
  }[key];
  const place = /^[1-9]$/.test(key) ? keyedClasses()[Number(key) - 1] : undefined;
  if (!act && place === undefined) return;
  event.preventDefault();
  if (act) act();
  else decideCard("change", place);
}

// The classes with a number: all of them, or what the photo looks like first where there are more than keys.
function keyedClasses() {
  const { looks, label } = desk.cards[desk.at];
  const all = desk.classes.map((_, place) => place);
  if (all.length <= DESK_KEYS) return all;
  return [...new Set([looks, label, ...all].filter((place) => place >= 0))].slice(0, DESK_KEYS);
}

const hasLabel = (card) => card.label >= 0;

// Decide about the shown card, and go on to the next that is open. Another label than none is an addition.
function decideCard(verdict, place = -1) {
  const card = desk.cards[desk.at];
  if (verdict === "keep" && !hasLabel(card)) return;
  let one = { decision: verdict, label: "" };
  if (verdict === "change") {
    one = place === card.label ? { decision: "keep", label: "" }
      : { decision: hasLabel(card) ? "change" : "add", label: desk.classes[place] };
  }
  desk.done.push([desk.at, desk.decided.get(desk.at)]);
  desk.decided.set(desk.at, one);
  keepDesk();
  desk.at = nextOpen(desk.at);
  drawDesk();
}

function undoDesk() {
  const last = desk.done.pop();
  if (!last) return;
  const [at, before] = last;
  if (before) desk.decided.set(at, before);
  else desk.decided.delete(at);
  keepDesk();
  desk.at = at;
  drawDesk();
}

function turnDesk(step) {
  desk.at = (desk.at + step + desk.cards.length) % desk.cards.length;
  drawDesk();
}

// The next card after `at` that nobody decided about; where there is none, the next one.
function nextOpen(at) {
  const count = desk.cards.length;
  for (let step = 1; step <= count; step += 1) {
    const place = (at + step + count) % count;
    if (!desk.decided.has(place)) return place;
  }
  return Math.max(at, 0) % count;
}

function wordsOf(one) {
  if (!one) return "";
  return { keep: "kept", remove: "left out", change: `→ ${one.label}`, add: one.label }[one.decision];
}

function drawDesk() {
  const card = desk.cards[desk.at];
  const decided = desk.decided.get(desk.at);
  const image = byId("desk-picture");
  image.src = card.picture ? sourceOf(card.picture) : "data:,";
  image.alt = card.picture ? card.shown : `${card.shown}, which could not be opened`;
  byId("desk-file").textContent = card.shown;
  byId("desk-part").textContent = card.part;
  byId("desk-part").hidden = !card.part;
  byId("desk-why").textContent = card.why;
  byId("desk-question").replaceChildren(...askDesk(card));
  byId("desk-near").replaceChildren(...nearOf(card));
  byId("desk-keep").hidden = !hasLabel(card);
  byId("desk-keep-words").textContent = hasLabel(card) ? `keep ${desk.classes[card.label]}` : "";
  byId("desk-keep").setAttribute("aria-pressed", String(decided?.decision === "keep"));
  byId("desk-remove").setAttribute("aria-pressed", String(decided?.decision === "remove"));
  byId("desk-remove-words").textContent = hasLabel(card) ? "leave the photo out" : "do not use it";
  byId("desk-classes").replaceChildren(...classKeys(decided));
  byId("desk-decided").textContent = decided ? `decided: ${wordsOf(decided)}` : "";
  byId("desk-count").textContent = `${desk.decided.size.toLocaleString("en")} of ${plural(desk.cards.length, "photo")}`;
  byId("desk-progress").max = desk.cards.length;
  byId("desk-progress").value = desk.decided.size;
  byId("desk-undo").disabled = desk.done.length === 0;
  byId("desk-save").disabled = desk.decided.size === 0;
  for (const item of document.querySelectorAll("#desk-list li")) {
    const at = Number(item.dataset.card);
    const one = desk.decided.get(at);
    item.classList.toggle("decided", Boolean(one));
    item.querySelector("button").setAttribute("aria-current", String(at === desk.at));
    item.querySelector(".verdict")?.remove();
    if (!one) continue;
    const mark = document.createElement("span");
    mark.className = "verdict name";
    mark.textContent = wordsOf(one);
    item.querySelector("figcaption").append(mark);
  }
}

function strong(text) {
  const word = document.createElement("strong");
  word.className = "name";
  word.textContent = text;
  return word;
}

function askDesk(card) {
  const [own, looks] = card.p;
  const sure = (p) => (p === null ? "" : ` (${percent(p)})`);
  const guess = card.looks < 0 ? [] : [strong(desk.classes[card.looks]), sure(looks)];
  if (!hasLabel(card)) return ["What is it? Perhaps ", ...guess];
  const label = [strong(desk.classes[card.label]), sure(own)];
  if (card.looks === card.label) return ["Labelled ", ...label, ": is it?"];
  return ["Labelled ", ...label, ", looks like ", ...guess];
}

// The known photos most like this one, by their class.
function nearOf(card) {
  const rows = new Map();
  for (const [place, picture] of card.near) rows.set(place, [...(rows.get(place) ?? []), picture]);
  return [...rows].map(([place, pictures]) => {
    const row = document.createElement("div");
    row.className = "desk-near-row";
    const title = document.createElement("p");
    title.append("Most like it of ", strong(desk.classes[place] ?? "?"));
    const strip = document.createElement("span");
    strip.append(...pictures.map((path) => Object.assign(new Image(), { src: sourceOf(path), alt: `a photo of ${desk.classes[place]}` })));
    row.append(title, strip);
    return row;
  });
}

function classKeys(decided) {
  const card = desk.cards[desk.at];
  const keyed = keyedClasses();
  const keys = keyed.map((place, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "desk-key";
    const key = document.createElement("kbd");
    key.textContent = String(number + 1);
    const word = document.createElement("span");
    word.className = "name";
    word.textContent = desk.classes[place];
    button.append(key, word);
    const own = place === card.label && decided?.decision === "keep";
    button.setAttribute("aria-pressed", String(own || (decided?.label === desk.classes[place])));
    button.addEventListener("click", () => decideCard("change", place));
    return button;
  });
  if (keyed.length === desk.classes.length) return keys;
  const more = document.createElement("select");
  more.setAttribute("aria-label", "Another class");
  more.append(new Option("another class …", ""), ...desk.classes.map((name, place) => new Option(name, String(place))));
  more.addEventListener("change", () => { if (more.value) decideCard("change", Number(more.value)); });
  return [...keys, more];
}

const DESK_COLUMNS = ["file", "sha256", "label", "decision", "new_label", "folder"];

// An unlabelled photo that is not to be used has no row: nothing was learned from it.
function deskTable() {
  const counting = [...desk.decided].filter(([at, one]) => hasLabel(desk.cards[at]) || one.decision === "add");
  const lines = counting.sort(([a], [b]) => a - b).map(([at, one]) => {
    const card = desk.cards[at];
    const label = hasLabel(card) ? desk.classes[card.label] : "";
    return [card.file, card.sha256, label, one.decision, one.label, desk.folder].map(cell).join(",");
  });
  return `${[DESK_COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}

function saveDesk() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", deskTable()], { type: "text/csv;charset=utf-8" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Take over a table that was saved; it says of each photo what counts from now on.
function loadDesk(text) {
  const [head = [], ...lines] = parseTable(text.replace(/^\ufeff/, ""));
  const at = Object.fromEntries(DESK_COLUMNS.map((name) => [name, head.indexOf(name)]));
  if (at.file < 0 || at.decision < 0) {
    byId("desk-count").textContent = "This is no table of decisions: it has no columns file and decision.";
    return;
  }
  const places = new Map(desk.cards.flatMap((card, place) => [[card.file, place], [card.sha256, place]]));
  for (const line of lines) {
    const of = (name) => unguard(line[at[name]] ?? "");
    const place = places.get(of("sha256")) ?? places.get(of("file"));
    if (place !== undefined) takeDecision(place, { decision: of("decision"), label: of("new_label") });
  }
  keepDesk();
  drawDesk();
}
