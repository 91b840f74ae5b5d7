// Data chunks: classic scripts that call pcnData, because a page opened from disk may not fetch files; a page that stands
// alone holds them in blocks of its own.

const receivers = new Map(); // chunk name → what waits for its content
const chunks = new Map(); // chunk name → promise of its content

window.pcnData = (name, text) => receivers.get(name)?.(JSON.parse(text));

// The content of data/<name>.js, loaded once.
function loadChunk(name) {
  if (!chunks.has(name)) {
    const held = readBlock(name);
    chunks.set(name, held === undefined ? fetchChunk(name) : Promise.resolve(held));
  }
  return chunks.get(name);
}

function fetchChunk(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    receivers.set(name, resolve);
    script.src = `data/${name}.js`;
    script.onload = () => script.remove();
    script.onerror = () => {
      chunks.delete(name);
      script.remove();
      reject(new Error(`data/${name}.js is missing`));
    };
    document.head.append(script);
  });
}

// What the page itself holds under this name; undefined where it does not.
function readBlock(name) {
  const block = document.querySelector(`script[data-chunk="${name}"]`);
  return block ? JSON.parse(block.textContent) : undefined;
}

let heldPictures = null; // path → picture as base64, in a page that stands alone

// Where a picture is loaded from.
function sourceOf(path) {
  heldPictures ??= new Map(Object.entries(readBlock("pictures") ?? {}));
  return heldPictures.has(path) ? `data:image/webp;base64,${heldPictures.get(path)}` : path;
}

let data = null; // the columns of data/rows.js, once they are there

// The details of one prediction: most probable classes, numbers, map.
function loadDetails(row) {
  return loadChunk(`detail-${Math.floor(row / data.details)}`).then((rows) => rows[row % data.details]);
}

const byId = (id) => document.getElementById(id);
const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)}\u00a0%`);
// A label is a place among the names and -1 where there is none; of several labels a list of places, and null.
const isLabelled = (row) => data.label[row] !== null && data.label[row] !== -1;
const placesOf = (value) => (Array.isArray(value) ? value : value === null || value < 0 ? [] : [value]);
const namesOf = (value) => placesOf(value).map((place) => data.names[place]);
const isSame = (one, other) => one === other || (Array.isArray(one) && String(one) === String(other));
const isRight = (row) => isLabelled(row) && isSame(data.label[row], data.predicted[row]);
const isWrong = (row) => isLabelled(row) && !isRight(row);
const labelOf = (row) => (isLabelled(row) ? namesOf(data.label[row]).join(", ") || "none" : "");
const predictedOf = (row) => namesOf(data.predicted[row]).join(", ") || "none";

function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")}\u00a0${count === 1 ? one : many}`;
}
