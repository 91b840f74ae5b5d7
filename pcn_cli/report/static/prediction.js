// One prediction, large: wipe between photo and map, most probable classes, the numbers of its look.

const LEGENDS = {
  photo: "",
  spotlight: "The picture keeps its colours where the model looked and is grey where it did not.",
  heat: "Clear at an even spread and below, bright where the model looked most.",
  contour: "Half of the look lies inside the strong line, four fifths inside the fine one.",
};

let opened = null; // { row, details } of the picture in the dialog
let returnTo = null; // what had the focus before the dialog opened

function drawPrediction(state) {
  const dialog = byId("prediction");
  const row = state.photo === "" ? NaN : Number(state.photo);
  if (!(Number.isInteger(row) && row >= 0 && row < data.file.length)) {
    opened = null;
    if (dialog.open) {
      dialog.close();
      // The tile that was opened, or the one of the last picture seen.
      const tile = document.querySelector(`section.current .tile[data-row="${dialog.dataset.row}"] > a`);
      (tile ?? returnTo)?.focus();
    }
    return;
  }
  if (!dialog.open) {
    returnTo = document.activeElement;
    dialog.showModal();
    byId("prediction-title").focus();
  }
  drawSteps(row, state);
  if (opened?.row !== row) fillPrediction(row, state);
  for (const field of dialog.querySelectorAll('[name="large-look"]')) field.checked = field.value === lookOf(state);
  paintLarge(state);
}

function drawSteps(row, state) {
  refreshShown(state);
  const at = shown.indexOf(row);
  byId("place").textContent = at < 0 ? "" : `${(at + 1).toLocaleString("en")} of ${shown.length.toLocaleString("en")}`;
  for (const [id, target] of [["previous", shown[at - 1]], ["next", at < 0 ? undefined : shown[at + 1]]]) {
    byId(id).classList.toggle("off", target === undefined);
    if (target === undefined) {
      if (document.activeElement === byId(id)) byId("prediction-title").focus();
      byId(id).removeAttribute("href");
    } else {
      byId(id).href = addressOf({ ...state, photo: target });
    }
  }
  byId("close").href = addressOf({ ...state, photo: "" });
}

function fillPrediction(row, state) {
  opened = { row, details: null };
  const [image, dialog] = [byId("large"), byId("prediction")];
  dialog.dataset.row = row;
  dialog.classList.toggle("wrong", isWrong(row));
  byId("verdict").textContent = isWrong(row) ? `✕ Wrong: labelled ${labelOf(row)}` : isRight(row) ? "✓ Right" : "No label";
  const sure = data.several ? "" : `, ${percent(data.confidence[row])}`; // several labels have a bar each
  byId("prediction-title").textContent = `${predictedOf(row)}${sure}`;
  byId("file").textContent = data.file[row];
  byId("photo").hidden = !data.width[row];
  byId("no-picture").hidden = Boolean(data.width[row]);
  image.alt = `Photo ${data.file[row]}`;
  byId("photo").style.setProperty("--shape", data.width[row] ? data.width[row] / data.height[row] : 1);
  if (data.width[row]) {
    image.src = `img/${row}${data.large[row] ? "-large" : ""}.webp`;
  }
  byId("map").width = 1;
  if (byId("tools")) byId("tools").hidden = !data.mapped[row] || !data.width[row];
  showDecision(row);
  byId("bars").replaceChildren();
  byId("file-facts").replaceChildren();
  byId("look-facts").hidden = true;
  loadDetails(row).then((details) => {
    if (opened?.row !== row) return;
    opened.details = details;
    fillBars(row, details);
    fillFacts(details);
    if (details.map) fillLook(details);
    fillWhatIf(row, details);
    paintLarge(readAddress());
  }).catch((error) => showTrouble(error.message));
}

function fillBars(row, details) {
  byId("bars").replaceChildren(...details.top.map(([name, p]) => {
    const line = byId("bar-line").content.firstElementChild.cloneNode(true);
    line.querySelector(".name").textContent = data.names[name];
    line.querySelector(".chip").hidden = !placesOf(data.label[row]).includes(name);
    line.querySelector(".fill").style.width = `${100 * p}%`;
    line.querySelector(".figure").textContent = percent(p);
    line.classList.toggle("first", placesOf(data.predicted[row]).includes(name));
    return line;
  }));
}

// What the pooling would have said without what it looked at.
function fillWhatIf(row, details) {
  byId("what-if").hidden = !details.hidden;
  if (!details.hidden) return;
  const [name, p, kept, random] = details.hidden;
  const after = `${predictedOf(row)} ${percent(data.confidence[row])} → ${data.names[name]} ${percent(p)}`;
  byId("what-if").textContent = `Hide that half: ${after}. Keep only that half: ${percent(kept)}. Hide as many patches at random: ${percent(random)}.`;
}

function fillLook(details) {
  const [share, effective, , mass50, mass80, border, , , x, y] = details.numbers;
  const [width, height] = details.size;
  const at = `around ${Math.round(100 * x / width)} % from the left and ${Math.round(100 * y / height)} % from the top`;
  const words = `Half of the look lies on ${percent(mass50)} of the patches, ${at}.`;
  byId("look-words").textContent = words;
  byId("map").setAttribute("aria-label", `Map of where the model looked. ${words}`);
  const count = details.grid[0] * details.grid[1];
  const numbers = [
    ["Half of it lies on", percent(mass50), "mass50", mass50],
    ["Four fifths on", percent(mass80), "mass80", mass80],
    ["As wide as patches", effective === null ? "–" : `${effective.toFixed(0)} of ${count}`, "effective_patches", effective],
    ["At the border", border === null ? "–" : `${border.toFixed(1)}×`, "border_share", border],
    ["From the picture", percent(share), "image_share", share],
  ];
  byId("numbers").replaceChildren(...numbers.map(([name, value, spread, number]) => {
    const line = fillLine(name, value);
    drawSpread(line, spread, number);
    return line;
  }));
  byId("look-facts").hidden = false;
}

// A name and its words, as a copy of the template number-line.
function fillLine(name, value) {
  const line = byId("number-line").content.firstElementChild.cloneNode(true);
  line.querySelector("dt").textContent = name;
  line.querySelector("dd .words").textContent = value;
  return line;
}

function fillFacts(details) {
  byId("file-facts").replaceChildren(...details.facts.map(([name, value]) => {
    const line = fillLine(name, value);
    line.querySelector("svg").remove();
    return line;
  }));
}

function paintLarge(state) {
  const current = opened;
  const [image, canvas, look] = [byId("large"), byId("map"), lookOf(state)];
  const own = byId("own-scale")?.checked ?? false;
  byId("legend-words").textContent = `${LEGENDS[look]}${own && look !== "contour" && look !== "photo" ? " The scale is this picture's own: it cannot be compared with others." : ""}`;
  const full = own && current?.details?.map ? fullOf(decodeLift(current.details.map)) : data.full;
  byId("legend-top").textContent = `${full.toFixed(full < 10 ? 1 : 0)}×`;
  byId("legend").hidden = look !== "heat";
  byId("prediction").classList.toggle("bare", look === "photo");
  if (!current?.details?.map || !data.width[current.row]) return;
  hasPixels(image).then(() => {
    if (opened !== current || lookOf(readAddress()) !== look) return;
    const longest = Math.min(1400, Math.round(Math.max(image.clientWidth, image.clientHeight, 200) * devicePixelRatio));
    paintMap(canvas, image, current.details, { look, longest, own, smooth: !byId("patches")?.checked });
  }).catch(() => {});
}

function setWipe(share) {
  const place = Math.min(100, Math.max(0, share));
  byId("wipe").value = place;
  byId("map").style.clipPath = `inset(0 0 0 ${place}%)`;
  byId("wipe-line").style.left = `${place}%`;
  byId("wipe-line").classList.toggle("on", place > 0 && place < 100);
}

// The lift of the patch nearest to a place on the picture, in words.
function liftAt(details, x, y) {
  const [rows, columns] = details.grid;
  const nearest = (share, start, step, count) => Math.min(count - 1, Math.max(0, Math.round((share - start) / step)));
  const column = nearest(x, details.start[0], details.step[0], columns);
  const row = nearest(y, details.start[1], details.step[1], rows);
  const lift = decodeLift(details.map)[row * columns + column];
  const [left, top, right, bottom] = details.seen;
  return x < left || x > right || y < top || y > bottom ? "not seen by the model" : `${lift.toFixed(1)}× an even spread`;
}

function startPrediction() {
  const [dialog, photo, value] = [byId("prediction"), byId("photo"), byId("value")];
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    go({ photo: "" });
  });
  // A browser may close a dialog on its own; the address has to follow.
  dialog.addEventListener("close", () => { if (readAddress().photo !== "") go({ photo: "" }); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) go({ photo: "" }); });
  dialog.addEventListener("keydown", (event) => {
    const id = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
    // Inside the wipe and the choices the arrows move those.
    if (!id || event.target.matches("input, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (byId(id).hasAttribute("href")) location.replace(byId(id).href);
  });
  for (const id of ["previous", "next"]) {
    byId(id).addEventListener("click", (event) => {
      event.preventDefault();
      if (byId(id).hasAttribute("href")) location.replace(byId(id).href); // Back leads out of the dialog, not through it.
    });
  }
  if (!byId("tools")) return;
  for (const field of dialog.querySelectorAll('[name="large-look"]')) {
    field.addEventListener("change", () => go({ look: field.value }, { replace: true }));
  }
  for (const id of ["patches", "own-scale"]) byId(id).addEventListener("change", () => paintLarge(readAddress()));
  byId("wipe").addEventListener("input", (event) => setWipe(Number(event.target.value)));
  const place = (event) => {
    const box = photo.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  photo.addEventListener("pointerdown", (event) => {
    if (!opened?.details?.map) return;
    photo.setPointerCapture(event.pointerId);
    setWipe(100 * place(event)[0]);
  });
  photo.addEventListener("pointermove", (event) => {
    if (!opened?.details?.map) return;
    const [x, y] = place(event);
    if (event.buttons & 1) setWipe(100 * x);
    value.hidden = event.pointerType !== "mouse";
    value.textContent = liftAt(opened.details, x, y);
    value.style.left = `${Math.min(100 * x, 70)}%`;
    value.style.top = `${100 * y}%`;
  });
  photo.addEventListener("pointerleave", () => { value.hidden = true; });
  setWipe(0);
  addEventListener("resize", () => paintLarge(readAddress()));
}
