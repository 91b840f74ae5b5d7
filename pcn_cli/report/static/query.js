// The typed filter of the gallery: label:tulips conf<0.6 wrong -file:copy. What is no such word is part of a file name.

// Words that a picture has, by the name that is typed before a colon.
const TEXTS = {
  label: { title: "labelled", of: (row) => namesOf(data.label[row]) },
  said: { title: "taken for", of: (row) => namesOf(data.predicted[row]) },
  file: { title: "file name", of: (row) => [data.file[row]] },
  part: { title: "part", of: (row) => [Array.isArray(data.part) ? data.part[row] : data.part] },
};
// Numbers of a picture, before <, > or =. Shares may be typed in percent.
const NUMBERS = {
  conf: { title: "confidence", share: true, of: (row) => data.confidence[row] },
  loss: { title: "loss", of: (row) => data.loss[row] },
  unlike: { title: "distance from what was learned, of that allowed,", of: (row) => data.unlike?.[row] ?? null },
  border: { title: "look at the border, times an even one,", of: (row) => data.border[row] },
  half: { title: "share of the tiles that hold half of the look", share: true, of: (row) => data.mass50[row] },
  srg: { title: "SRG", of: (row) => data.srg[row] },
};
const ALIASES = { predicted: "said", taken: "said", as: "said", name: "file", confidence: "conf", mass50: "half" };
const KINDS = {
  wrong: "wrong", right: "right", unsure: "less sure than the threshold", border: "looks at the border",
  flips: "flips when hidden", copy: "has a copy", unlike: "unlike anything learned", suspect: "label in doubt",
  starred: "starred", noted: "with notes", picked: "picked on the map",
};
const COMPARE = {
  "<": ["below", (a, b) => a < b], "<=": ["at most", (a, b) => a <= b], ">": ["above", (a, b) => a > b],
  ">=": ["at least", (a, b) => a >= b], "=": ["", (a, b) => Math.abs(a - b) < 0.005], "!=": ["not", (a, b) => Math.abs(a - b) >= 0.005],
};
const entryOf = (name, table) => (Object.hasOwn(table, name) ? table[name] : undefined);
const unquoted = (text) => text.replaceAll('"', "");

// The terms of what was typed: each with `test`, whether a picture fits, and `words`, what it asks for.
function parseQuery(text) {
  return (text.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? []).map(parseTerm);
}

function parseTerm(typed) {
  const not = typed.length > 1 && typed.startsWith("-");
  const term = parsePositive(not ? typed.slice(1) : typed);
  return not ? { words: `not ${term.words}`, test: (row) => !term.test(row) } : term;
}

function parsePositive(typed) {
  const [, word = "", sign = "", rest = ""] = typed.match(/^([a-z0-9]+)(<=|>=|!=|[<>:=])(.*)$/i) ?? [];
  const name = entryOf(word.toLowerCase(), ALIASES) ?? word.toLowerCase();
  const text = entryOf(name, TEXTS);
  if (text && [":", "=", "!="].includes(sign) && unquoted(rest)) return asksText(text, sign, rest);
  const number = entryOf(name, NUMBERS);
  const value = Number.parseFloat(rest);
  if (number && sign && !Number.isNaN(value)) return asksNumber(number, sign === ":" ? "=" : sign, value, rest.endsWith("%"));
  const kind = entryOf(typed.toLowerCase(), KINDS);
  if (kind) return { words: kind, test: (row) => passes(row, typed.toLowerCase()) };
  const wanted = unquoted(typed).toLowerCase();
  return { words: `file name with ${quoted(wanted)}`, test: (row) => data.file[row].toLowerCase().includes(wanted) };
}

// `label:rose` is any label with these letters, `label=rose` this one; commas stand between those that will do.
function asksText({ title, of }, sign, rest) {
  const wanted = unquoted(rest).toLowerCase().split(",").filter(Boolean);
  const fits = sign === ":" ? (name, part) => name.includes(part) : (name, part) => name === part;
  const has = (row) => of(row).some((name) => wanted.some((part) => fits(String(name).toLowerCase(), part)));
  const words = `${title} ${wanted.map(quoted).join(" or ")}`;
  return sign === "!=" ? { words: `not ${words}`, test: (row) => !has(row) } : { words, test: has };
}

function asksNumber({ title, share, of }, sign, typed, inPercent) {
  const value = share && (inPercent || typed > 1) ? typed / 100 : typed;
  const [words, holds] = COMPARE[sign];
  const test = (row) => { const own = of(row); return own !== null && holds(own, value); };
  return { words: `${title} ${words} ${share ? `${+(100 * value).toFixed(1)}\u00a0%` : value}`.replace(/ +/g, " "), test };
}

// What the last word of a text may become: its beginning, all that stands before it, and the ways to go on.
function offersFor(text) {
  const last = text.match(/(?:[^\s"]|"[^"]*"?)*$/)[0];
  const before = text.slice(0, text.length - last.length);
  const not = last.startsWith("-") ? "-" : "";
  const word = last.slice(not.length).toLowerCase();
  const [, name, typed] = word.match(/^([a-z]+):(.*)$/) ?? [];
  const values = { label: data.names, said: data.names, part: [...new Set([data.part].flat())].filter(Boolean) }[entryOf(name ?? "", ALIASES) ?? name];
  const spelled = (value) => (/[\s",]/.test(value) ? `"${value}"` : value);
  const offers = values
    ? values.filter((value) => value.toLowerCase().includes(unquoted(typed))).map((value) => [`${name}:${spelled(value)}`, ""])
    : [
      ...Object.entries(TEXTS).map(([key, { title }]) => [`${key}:`, title]),
      ...Object.entries(NUMBERS).flatMap(([key, { title }]) => [[`${key}<`, `${title} below`], [`${key}>`, `${title} above`]]),
      ...Object.entries(KINDS).filter(([key]) => FILTERS[key] || filterRows.has(key)),
    ].filter(([value]) => value.startsWith(word));
  return offers.slice(0, 20).map(([value, words]) => [before + not + value, words.replace(/,$/, "")]);
}

function drawQuery(text) {
  const terms = parseQuery(text);
  byId("find-says").textContent = terms.length ? `${terms.map((term) => term.words).join(" · ")}` : "";
  byId("find-words").replaceChildren(...offersFor(text).map(([value, words]) => new Option(words || value, value)));
}

// The slash leads to the filter from any page, the question mark to what can be typed.
addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
  if (byId("prediction").open || !["/", "?"].includes(event.key)) return;
  event.preventDefault();
  if (readAddress().name !== "gallery") go({ name: "gallery", photo: "" }, { replace: true });
  if (event.key === "/") byId("find").focus();
  else byId("find-help").open = !byId("find-help").open;
});
