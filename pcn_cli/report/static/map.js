// The map: photos as points on a canvas, coloured by label, by right and wrong or by part; a lasso picks some of them.

const HUES = ["#3b6fb6", "#c9541f", "#3f9b5b", "#a04fa3", "#b58a00", "#2aa1a8", "#d0487f", "#7a6a52", "#6d7ee0", "#83a32b", "#8c2f39", "#5b8a8a"];
const OTHER_HUE = "#9a9488";
const POINT = 2000; // steps of a place along each side, as pages/map.py has them
const MOST_TILES = 12;

let points = null; // the columns of data/places.js
let pickedPoints = new Set();
let lasso = []; // places on the canvas, while one is drawn
const pickedRows = new Set(); // of the photos that were measured
FILTERS.picked = (row) => pickedRows.has(row);

function drawMap() {
  loadChunk("places").then((columns) => {
    points ??= columns;
    paintPoints();
  }).catch((error) => showTrouble(error.message));
}

// What a point is coloured by, and the words and colours of the key.
function mapColours() {
  const by = document.querySelector('[name="map-colour"]:checked').value;
  if (by === "part") return { key: points.parts.map((part, at) => [part, HUES[at]]), of: (at) => HUES[points.part[at]] };
  if (by === "wrong") {
    const [good, bad] = ["#3f9b5b", "#c9301c"];
    const of = (at) => (points.row[at] < 0 ? OTHER_HUE : isWrong(points.row[at]) ? bad : good);
    return { key: [["right", good], ["wrong", bad], ["not measured", OTHER_HUE]], of };
  }
  const counts = new Map();
  for (const label of points.label) counts.set(label, (counts.get(label) ?? 0) + 1);
  const often = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, HUES.length).map(([label]) => label).sort((a, b) => a - b);
  const hues = new Map(often.map((label, at) => [label, HUES[at]]));
  const key = often.map((label) => [points.labels[label], hues.get(label)]);
  if (counts.size > often.length) key.push(["other labels", OTHER_HUE]);
  return { key, of: (at) => hues.get(points.label[at]) ?? OTHER_HUE };
}

function mapPlace(at, { width, height }) {
  const margin = 18;
  return [margin + points.x[at] / POINT * (width - 2 * margin), margin + points.y[at] / POINT * (height - 2 * margin)];
}

let painted = null; // the points as a picture, and what it was painted for

// Lay down the points, which are painted anew only where something of them changed, and the lasso over them.
function paintPoints() {
  const canvas = byId("map-canvas");
  if (!points || !canvas.clientWidth) return;
  const size = { width: canvas.clientWidth, height: canvas.clientHeight };
  const by = document.querySelector('[name="map-colour"]:checked').value;
  const wanted = [size.width, size.height, devicePixelRatio, by, pickedPoints];
  if (!painted || wanted.some((value, at) => value !== painted.wanted[at])) painted = { wanted, picture: drawPoints(size) };
  [canvas.width, canvas.height] = [painted.picture.width, painted.picture.height];
  const context = canvas.getContext("2d");
  context.drawImage(painted.picture, 0, 0);
  if (lasso.length < 2) return;
  context.scale(devicePixelRatio, devicePixelRatio);
  context.beginPath();
  lasso.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.fillStyle = "rgb(120 110 100 / 15%)";
  context.strokeStyle = getComputedStyle(canvas).color;
  context.setLineDash([4, 3]);
  context.fill();
  context.stroke();
}

// A picture of all points, which also writes the key of their colours.
function drawPoints(size) {
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [size.width * devicePixelRatio, size.height * devicePixelRatio];
  const context = picture.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  const { key, of } = mapColours();
  const side = points.x.length > 4000 ? 3 : points.x.length > 1000 ? 5 : 7;
  // By colour, since changing it for every point is what would take the time; what is picked lies on top.
  const groups = new Map();
  for (let at = 0; at < points.x.length; at += 1) {
    const group = `${pickedPoints.has(at) ? 1 : 0}${of(at)}`;
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(at);
  }
  for (const [group, own] of [...groups].sort(([a], [b]) => (a < b ? -1 : 1))) {
    context.globalAlpha = group[0] === "1" ? 1 : pickedPoints.size ? 0.25 : 0.75;
    context.fillStyle = group.slice(1);
    context.beginPath();
    for (const at of own) {
      const [x, y] = mapPlace(at, size);
      context.moveTo(x + side / 2, y);
      context.arc(x, y, side / 2, 0, 7);
    }
    context.fill();
  }
  byId("map-key").replaceChildren(...key.map(([name, hue]) => {
    const [line, dot] = [document.createElement("li"), document.createElement("span")];
    dot.style.background = hue;
    line.append(dot, name);
    return line;
  }));
  return picture;
}

// The point nearest to a place on the canvas, −1 where none is near.
function pointAt(x, y) {
  const canvas = byId("map-canvas");
  const size = { width: canvas.clientWidth, height: canvas.clientHeight };
  let [best, least] = [-1, 100];
  for (let at = 0; at < points.x.length; at += 1) {
    const [px, py] = mapPlace(at, size);
    const far = (px - x) ** 2 + (py - y) ** 2;
    if (far < least) [best, least] = [at, far];
  }
  return best;
}

// Whether a place lies inside a closed line: a ray to the right crosses it an odd number of times.
function isInside([x, y], line) {
  let inside = false;
  for (let at = 0, before = line.length - 1; at < line.length; before = at, at += 1) {
    const [[ax, ay], [bx, by]] = [line[at], line[before]];
    if (ay > y !== by > y && x < (bx - ax) * (y - ay) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

function pickPoints(chosen) {
  pickedPoints = new Set(chosen);
  pickedRows.clear();
  for (const at of pickedPoints) if (points.row[at] >= 0) pickedRows.add(points.row[at]);
  shownFilters = "";
  byId("map-picked").hidden = byId("map-clear").hidden = pickedPoints.size === 0;
  byId("map-count").textContent = `${plural(pickedPoints.size, "photo")} picked`;
  const others = pickedPoints.size - pickedRows.size;
  const names = [...pickedPoints].filter((at) => points.row[at] < 0).slice(0, 8).map((at) => points.file[at]);
  byId("map-open").hidden = pickedRows.size === 0;
  byId("map-others").textContent = others ? `${plural(others, "of them is", "of them are")} of other parts, without a picture here: ${names.join(", ")}${others > names.length ? ", …" : ""}` : "";
  const rows = [...pickedRows].slice(0, MOST_TILES);
  byId("map-tiles").replaceChildren(...rows.map((row) => makeTile(row, { ...readAddress(), name: "places" })));
  paintTiles(byId("map-tiles"), lookOf(readAddress()));
  requestAnimationFrame(paintPoints);
}

function showHover(at, [x, y]) {
  const hover = byId("map-hover");
  hover.hidden = at < 0;
  byId("map-canvas").style.cursor = at >= 0 && points.row[at] >= 0 ? "pointer" : "";
  if (at < 0 || hover.dataset.point === String(at)) return;
  hover.dataset.point = at;
  const row = points.row[at];
  const words = document.createElement("span");
  const said = row >= 0 && isLabelled(row) ? (isWrong(row) ? `, taken for ${predictedOf(row)}` : ", right") : ` (${points.parts[points.part[at]]})`;
  words.textContent = `${points.labels[points.label[at]]}${said} · ${points.file[at]}`;
  hover.replaceChildren(words);
  if (row >= 0 && data.width[row]) {
    const image = document.createElement("img");
    image.alt = "";
    image.src = sourceOf(`img/${row}.webp`);
    hover.prepend(image);
  }
  const frame = byId("map-frame");
  hover.style.left = `${Math.min(x + 14, frame.clientWidth - 165)}px`;
  hover.style.top = `${Math.max(4, Math.min(y + 14, frame.clientHeight - 190))}px`;
}

function startMap() {
  const canvas = byId("map-canvas");
  if (!canvas) return;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!points) return;
    canvas.setPointerCapture(event.pointerId);
    lasso = [place(event)];
    showHover(-1, [0, 0]);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!points) return;
    if (lasso.length && event.buttons & 1) {
      lasso.push(place(event));
      requestAnimationFrame(paintPoints);
    } else showHover(pointAt(...place(event)), place(event));
  });
  canvas.addEventListener("pointerup", (event) => {
    const line = lasso;
    lasso = [];
    if (!points || !line.length) return;
    const size = { width: canvas.clientWidth, height: canvas.clientHeight };
    if (line.length > 3) pickPoints(points.x.map((_, at) => at).filter((at) => isInside(mapPlace(at, size), line)));
    else {
      const at = pointAt(...place(event));
      if (at >= 0 && points.row[at] >= 0) go({ photo: String(points.row[at]) });
      requestAnimationFrame(paintPoints);
    }
  });
  canvas.addEventListener("pointerleave", () => showHover(-1, [0, 0]));
  byId("map-tools").addEventListener("change", (event) => {
    if (event.target.id !== "map-class") paintPoints();
    else loadChunk("places").then(() => {
      const label = points.labels.indexOf(event.target.value);
      pickPoints(label < 0 ? [] : points.label.flatMap((own, at) => (own === label ? [at] : [])));
    }).catch((error) => showTrouble(error.message));
  });
  byId("map-clear").addEventListener("click", () => {
    byId("map-class").value = "";
    pickPoints([]);
  });
  addEventListener("resize", () => { if (current === "places") paintPoints(); });
}

starters.push(startMap);
drawers.places = drawMap;
