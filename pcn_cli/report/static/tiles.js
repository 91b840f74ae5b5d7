// Tiles: one prediction each, with its map over the picture.

function makeTile(row, state) {
  const tile = byId("tile").content.firstElementChild.cloneNode(true);
  const [link, image] = [tile.querySelector("a"), tile.querySelector("img")];
  tile.dataset.row = row;
  tile.classList.toggle("wrong", isWrong(row));
  tile.classList.toggle("starred", decisions.get(row)?.star === true);
  link.href = addressOf({ ...state, photo: row });
  image.alt = data.file[row];
  if (data.width[row]) {
    image.width = data.width[row];
    image.height = data.height[row];
    afterDrawing(() => { image.src = sourceOf(`img/${row}.webp`); });
  }
  if (state.as === "pairs") addPlain(tile, row);
  tile.querySelector(".predicted").replaceChildren(...(data.several ? chipsOf(row) : [predictedOf(row)]));
  tile.querySelector(".confidence").textContent = `${data.several ? "≥ " : ""}${percent(data.confidence[row])}`;
  const verdict = isWrong(row) ? `✕ labelled ${labelOf(row)}` : isRight(row) ? "✓ right" : "";
  tile.querySelector(".verdict").textContent = verdict;
  return tile;
}

// The photo without its map, before the one with it.
function addPlain(tile, row) {
  const frame = Object.assign(document.createElement("span"), { className: "frame" });
  const image = Object.assign(document.createElement("img"), { alt: "", loading: "lazy", decoding: "async" });
  if (data.width[row]) afterDrawing(() => { image.src = sourceOf(`img/${row}.webp`); });
  frame.append(image);
  tile.classList.add("pair");
  tile.querySelector(".frame").before(frame);
}

// Once the next frame is drawn: what a filter leaves can be read before its pictures are there.
const afterDrawing = (work) => requestAnimationFrame(() => setTimeout(work));

// The labels that a picture was given, each in a chip of its own.
function chipsOf(row) {
  const names = namesOf(data.predicted[row]);
  return names.length ? names.flatMap((name) => [makeChip(name), " "]) : ["none"];
}

function makeChip(name) {
  const chip = document.createElement("span");
  chip.className = "chip";
  chip.textContent = name;
  return chip;
}

// Wait until the picture has its pixels; a picture that is not there never has.
function hasPixels(image) {
  if (image.complete && image.naturalWidth) return Promise.resolve();
  return new Promise((resolve, reject) => {
    image.addEventListener("load", resolve, { once: true });
    image.addEventListener("error", reject, { once: true });
  });
}

// What a tile is drawn by: the look, or where that says nothing what speaks for the answer, on a scale of its own.
function tileMap(details) {
  if (data.firstMap !== "evidence" || !details.evidence) return details;
  const evidence = decodeSigned(details.evidence[0]).map((value) => Math.max(value, 0));
  const mean = evidence.reduce((sum, value) => sum + value, 0) / evidence.length;
  return { ...details, lift: mean ? evidence.map((value) => value / mean) : evidence };
}

// Paint the maps of these tiles as their pictures arrive.
function paintTiles(list, look) {
  for (const tile of list.querySelectorAll("[data-row]")) {
    const row = Number(tile.dataset.row);
    const canvas = tile.querySelector("canvas");
    const image = canvas.parentElement.querySelector("img");
    if (!data.width[row]) for (const frame of tile.querySelectorAll(".frame")) frame.classList.add("empty");
    if (!data.mapped[row] || !data.width[row] || tile.dataset.look === look) continue;
    tile.dataset.look = look;
    Promise.all([loadDetails(row), hasPixels(image)]).then(([details]) => {
      // Another look may have been chosen while the picture was on its way.
      if (tile.dataset.look === look) paintMap(canvas, image, tileMap(details), { look, longest: look === "contour" || list.dataset.size > 3 ? 420 : 240 });
    }).catch(() => { delete tile.dataset.look; });
  }
}

// Arrow keys walk through a grid of tiles as well as Tab.
function walkTiles(event) {
  const links = [...event.currentTarget.querySelectorAll(".tile > a")];
  const at = links.indexOf(document.activeElement);
  if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
  const top = links[0].offsetTop;
  const columns = Math.max(1, links.filter((link) => link.offsetTop === top).length);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  const target = { Home: links[0], End: links.at(-1) }[event.key] ?? (step ? links[at + step] : undefined);
  if (!target) return;
  event.preventDefault();
  target.focus();
}
