// A card per class: where the model looks on average, its surest right pictures and its worst.

const CARDS = 6; // classes on one page
const EXAMPLES = 4;

let cardsDrawn = ""; // the classes that the cards show now

// The classes in the order of the table, whose headings may have been used.
const tableClasses = () => [...document.querySelectorAll("#class-table tbody th")].map((head) => head.dataset.name);

function drawClasses(state) {
  const names = tableClasses();
  const last = Math.max(1, Math.ceil(names.length / CARDS));
  const page = Math.min(Math.max(1, Math.floor(Number(state.page)) || 1), last);
  const chosen = names.slice((page - 1) * CARDS, page * CARDS);
  drawPager("class", page, last, state);
  if (JSON.stringify(chosen) !== cardsDrawn) {
    cardsDrawn = JSON.stringify(chosen);
    byId("class-cards").replaceChildren(...chosen.map((name) => makeCard(name, state)));
    loadChunk("classes").then((maps) => { for (const name of chosen) paintMean(name, maps); })
      .catch((error) => showTrouble(error.message));
  }
  paintTiles(byId("class-cards"), lookOf(state));
}

function makeCard(name, state) {
  const card = byId("class-card").content.firstElementChild.cloneNode(true);
  const own = rowsOfClass(name);
  card.dataset.name = name;
  card.querySelector("h3").textContent = name;
  card.querySelector("a.more").href = addressOf({ name: "gallery", label: name });
  const right = own.filter(isRight).sort((a, b) => data.confidence[b] - data.confidence[a] || a - b);
  const worst = own.filter(isWrong).sort((a, b) => known(data.loss[b]) - known(data.loss[a]) || a - b);
  fillExamples(card.querySelector(".surest"), right, state);
  fillExamples(card.querySelector(".worst"), worst, state);
  return card;
}

function rowsOfClass(name) {
  const number = data.names.indexOf(name);
  return data.label.flatMap((label, row) => (placesOf(label).includes(number) ? [row] : []));
}

function fillExamples(part, rows, state) {
  part.querySelector(".none").hidden = rows.length > 0;
  part.querySelector(".tiles").replaceChildren(...rows.slice(0, EXAMPLES).map((row) => makeTile(row, state)));
}

function paintMean(name, maps) {
  const mean = maps[data.names.indexOf(name)];
  const card = [...document.querySelectorAll("#class-cards > li")].find((one) => one.dataset.name === name);
  if (!card) return;
  card.querySelector(".mean").hidden = !mean;
  if (!mean) return;
  const [height, width] = mean.grid.map((count) => count * Math.ceil(160 / Math.max(...mean.grid)));
  const [start, step] = [[0.5 / mean.grid[1], 0.5 / mean.grid[0]], [1 / mean.grid[1], 1 / mean.grid[0]]];
  const field = spread(decodeLift(mean.map), mean.grid, { width, height, start, step, smooth: true });
  const top = field.reduce((most, value) => Math.max(most, value), 1);
  const canvas = card.querySelector(".mean canvas");
  [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  // Means are flatter than maps, so that each has its own scale; the words beside it give the top.
  const target = new Uint32Array(pixels.data.buffer);
  for (let at = 0; at < field.length; at += 1) target[at] = ramps.mean[Math.round(255 * field[at] / top)];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  const words = `up to ${top.toFixed(1)}× an even spread, mean of ${plural(mean.of, "picture")}`;
  canvas.setAttribute("aria-label", `Mean map of ${name}: ${words}`);
  card.querySelector(".mean figcaption").textContent = words;
}

drawers.classes = drawClasses;
