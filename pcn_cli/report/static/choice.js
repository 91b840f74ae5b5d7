// Which map of a prediction is shown: look, evidence for a class, or the contrast of two classes; and what it says.

const DRAWN = {
  photo: "",
  spotlight: "The picture is a little darker where the model looked less; half of the look lies inside the fine line.",
  heat: "Clear at an even spread and below, bright where the model looked most.",
  contour: "Half of the look lies inside the strong line, four fifths inside the fine one.",
};
const OWN_SCALE = "The scale is this picture's own: it cannot be compared with others.";

// The chosen map of the opened picture: its kind, its values patch by patch, and the classes that it is about.
function chooseMap(state, { row, details }) {
  const kind = details.evidence ? kindOf(state, row, details.evidence) : "look";
  const place = kind === "look" && !details.looks ? 0 : placeOf(state, row, details.evidence, kind);
  if (kind === "look") {
    const [text, name] = place ? [details.looks[place], data.names[details.evidence[place][0]]] : [details.map, predictedOf(row)];
    return { kind, place, text, values: decodeLift(text), name };
  }
  const [first, chosen] = [details.evidence[0], details.evidence[place]];
  if (kind === "evidence") return { kind, place, values: decodeSigned(chosen), name: data.names[chosen[0]] };
  const other = decodeSigned(chosen);
  const values = decodeSigned(first).map((value, patch) => value - other[patch]);
  return { kind, place, values, name: data.names[first[0]], other: data.names[chosen[0]] };
}

// A mistake is opened by what speaks for it rather than for the label, unless another map was asked for.
function kindOf(state, row, evidence) {
  if (MAPS.includes(state.map)) return state.map;
  const named = evidence.some(([name], place) => place > 0 && placesOf(data.label[row]).includes(name));
  return isWrong(row) && named ? "contrast" : mapOf(state);
}

// The place among the maps of evidence of the class asked for. Unless one is, a contrast of a mistake is with the label.
function placeOf(state, row, evidence, kind) {
  const least = kind === "contrast" ? 1 : 0;
  const asked = state.of === "" ? NaN : Number(state.of);
  if (Number.isInteger(asked) && asked >= least && asked < evidence.length) return asked;
  const label = evidence.findIndex(([name]) => placesOf(data.label[row]).includes(name));
  return kind === "contrast" ? Math.max(1, label) : 0;
}

// Set the choices to the map that is shown.
function drawChoice(map, state, { details }) {
  if (!byId("maps")) return;
  byId("maps").hidden = !details.evidence;
  for (const field of document.querySelectorAll('[name="map"]')) {
    field.checked = field.value === map.kind;
    if (field.value === "contrast") field.disabled = (details.evidence?.length ?? 0) < 2;
  }
  byId("drawing").hidden = map.kind !== "look";
  byId("of-choice").hidden = map.kind === "look" && !details.looks;
  if (byId("of-choice").hidden) return;
  byId("of-words").textContent = { look: "of", evidence: "for", contrast: "rather than" }[map.kind];
  const options = details.evidence.map(([name], place) => new Option(data.names[name], place));
  byId("of").replaceChildren(...(map.kind === "contrast" ? options.slice(1) : options));
  byId("of").value = map.place;
}

// A name between quotes, in its own direction of writing.
const SEEN = "The dashed frame holds what the model saw.";
const quoted = (name) => `“\u2068${name}\u2069”`;
const places = (value) => Math.abs(value).toFixed(Math.abs(value) < 0.1 ? 3 : 2);

// What the chosen map shows, in one sentence or two.
function mapWords(map, details, { look, own }) {
  const scale = own && !(map.kind === "look" && ["photo", "contour"].includes(look)) ? [OWN_SCALE] : [];
  if (isCut(details)) scale.push(SEEN);
  if (map.kind === "look") {
    const whose = data.classTokens ? `where the token of ${quoted(map.name)} took its information` : "where the pooling took its information, whatever the class";
    return [`Look: ${whose}.`, DRAWN[look], ...scale].filter(Boolean).join(" ");
  }
  const lowers = map.kind === "evidence" ? quoted(map.name) : `${quoted(map.name)} against ${quoted(map.other)}`;
  const start = map.kind === "evidence" ? "Evidence" : `Why ${quoted(map.name)} rather than ${quoted(map.other)}`;
  const top = map.values.reduce((best, value, patch) => (value > map.values[best] ? patch : best), 0);
  const most = map.values[top] > 0 ? `, most ${patchWords(top, details)}, by ${places(map.values[top])}` : "; there is none";
  return [`${start}: hiding an orange tile lowers the score of ${lowers}${most}; hiding a purple one raises it.`, ...scale].join(" ");
}

// Whether the model saw only a part of the picture.
const isCut = ({ seen: [left, top, right, bottom] }) => left > 0.001 || top > 0.001 || right < 0.999 || bottom < 0.999;

const patchWords = (patch, { grid: [, columns] }) => `in row ${Math.floor(patch / columns) + 1}, column ${(patch % columns) + 1}`;

// What the map says of one patch.
function valueWords({ kind, values, name, other }, patch) {
  const value = values[patch];
  if (kind === "look") return `${value.toFixed(1)}× an even spread`;
  const whose = kind === "evidence" ? quoted(name) : `${quoted(name)} against ${quoted(other)}`;
  return `hiding it ${value < 0 ? "raises" : "lowers"} ${whose} by ${places(value)}`;
}

// The scale of colours below the picture: its ends in words; contours and the photo alone have none.
function drawLegend({ kind, values }, { look, own }) {
  const signed = kind !== "look";
  const full = signed ? (own ? fullSigned(values) : data.fullEvidence) : own ? fullOf(values) : data.full;
  byId("legend").hidden = !signed && look !== "heat";
  byId("legend").classList.toggle("signed", signed);
  byId("legend-low").textContent = signed ? `against, −${places(full)}` : "even spread, 1×";
  byId("legend-top").textContent = signed ? `for, +${places(full)}` : `${full.toFixed(full < 10 ? 1 : 0)}×`;
  return full;
}
