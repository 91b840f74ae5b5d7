// One prediction, large: its picture, its most probable classes, the numbers of its look.

let opened = null; // { row, details, map, curves } of the picture in the dialog, as far as they are known
const LARGE_SIDE = 1024; // pixels of the longer side of a large picture
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
  const wrong = data.several ? `labelled ${labelOf(row)}` : `it says ${predictedOf(row)} rather than ${labelOf(row)}`;
  byId("verdict").textContent = isWrong(row) ? `✕ Wrong: ${wrong}` : isRight(row) ? "✓ Right" : "No label";
  const sure = data.several ? "" : `, ${percent(data.confidence[row])} sure`; // several labels have a bar each
  byId("prediction-title").textContent = `${predictedOf(row)}${sure}`;
  byId("file").textContent = data.file[row];
  byId("photo").hidden = !data.width[row];
  byId("no-picture").hidden = Boolean(data.width[row]);
  image.alt = `Photo ${data.file[row]}`;
  byId("photo").style.setProperty("--shape", data.width[row] ? data.width[row] / data.height[row] : 1);
  if (data.width[row]) {
    // Blown up further, a small photo only looks out of focus.
    const pixels = data.large[row] ? LARGE_SIDE : Math.max(data.width[row], data.height[row]);
    byId("photo").style.setProperty("--most", `${Math.round(2 * pixels * Math.min(1, data.width[row] / data.height[row]))}px`);
    image.src = sourceOf(`img/${row}${data.large[row] ? "-large" : ""}.webp`);
  }
  byId("map").width = 1;
  byId("map").hidden = false;
  if (byId("tools")) byId("tools").hidden = !data.mapped[row] || !data.width[row];
  showDecision(row);
  byId("bars").replaceChildren();
  byId("file-facts").replaceChildren();
  byId("look-facts").hidden = true;
  byId("hiding").hidden = true;
  if (byId("alike")) byId("alike").hidden = true;
  loadDetails(row).then((details) => {
    if (opened?.row !== row) return;
    opened.details = details;
    fillBars(row, details);
    fillFacts(details);
    if (details.map) fillLook(details);
    fillHiding(opened);
    fillAlike(row, details);
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

function fillLook(details) {
  const [share, effective, , mass50, mass80, border] = details.numbers;
  byId("look-words").textContent = lookWords(details);
  const count = details.grid[0] * details.grid[1];
  const numbers = [
    ["Half of it lies on", percent(mass50), "mass50", mass50],
    ["Four fifths on", percent(mass80), "mass80", mass80],
    ["As wide as tiles", effective === null ? "–" : `${effective.toFixed(0)} of ${count}`, "effective_patches", effective],
    ["At the border", border === null ? "–" : `${border.toFixed(1)}×`, "border_share", border],
    ["From the picture", percent(share), "image_share", share],
  ];
  byId("numbers").replaceChildren(...numbers.map(([name, value, spread, number]) => {
    const line = fillLine(name, value);
    drawSpread(line, spread, number);
    return line;
  }));
  byId("look-facts").hidden = data.looksEvenly;
  startPatches(details);
}

function lookWords({ numbers: [, , , mass50, , , , , x, y], size: [width, height] }) {
  const at = `around ${Math.round(100 * x / width)} % from the left and ${Math.round(100 * y / height)} % from the top`;
  return `Half of its attention lies on ${percent(mass50)} of the tiles, ${at}.`;
}

// A name and its words, as a copy of the template number-line.
function fillLine(name, value) {
  const line = byId("number-line").content.firstElementChild.cloneNode(true);
  line.querySelector("dt").textContent = name;
  line.querySelector("dd .words").textContent = value;
  return line;
}

// Training photos that the network finds like this one: of the class it was taken for, and of the label or the next best.
function fillAlike(row, details) {
  if (!byId("alike") || !details.alike) return;
  const shown = details.alike.filter(([, photos]) => photos.some(([picture]) => picture !== null));
  byId("alike").hidden = shown.length === 0;
  byId("alike-rows").replaceChildren(...shown.map(([name, photos]) => {
    const group = byId("alike-row").content.firstElementChild.cloneNode(true);
    const why = data.predicted[row] === name ? "what it was taken for" : data.label[row] === name ? "its label" : "the next best";
    group.querySelector("figcaption").textContent = `${data.names[name]}, ${why}`;
    group.querySelector("ul").append(...photos.filter(([picture]) => picture !== null).map(([picture, file, likeness]) => {
      const [item, image, words] = [document.createElement("li"), document.createElement("img"), document.createElement("small")];
      image.src = sourceOf(`img/alike-${picture}.webp`);
      image.alt = image.title = file;
      words.textContent = `${Math.round(100 * likeness)} % alike`;
      item.append(image, words);
      return item;
    }));
    return group;
  }));
}

function fillFacts(details) {
  byId("file-facts").replaceChildren(...details.facts.map(([name, value]) => {
    const line = fillLine(name, value);
    line.querySelector(".spread").remove();
    return line;
  }));
}

function startPrediction() {
  const dialog = byId("prediction");
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
    if (!id || event.target.matches("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (byId(id).hasAttribute("href")) location.replace(byId(id).href);
  });
  for (const id of ["previous", "next"]) {
    byId(id).addEventListener("click", (event) => {
      event.preventDefault();
      if (byId(id).hasAttribute("href")) location.replace(byId(id).href); // Back leads out of the dialog, not through it.
    });
  }
  startHiding();
  if (byId("tools")) startStage();
}

starters.push(startPrediction);
