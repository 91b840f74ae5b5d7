// Data chunks: classic scripts that call pcnData, because a page opened from disk may not fetch files.

const receivers = new Map(); // chunk name → what waits for its content
const chunks = new Map(); // chunk name → promise of its content

window.pcnData = (name, text) => receivers.get(name)?.(JSON.parse(text));

// The content of data/<name>.js, loaded once.
function loadChunk(name) {
  if (!chunks.has(name)) {
    chunks.set(name, new Promise((resolve, reject) => {
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
    }));
  }
  return chunks.get(name);
}

let data = null; // the columns of data/rows.js, once they are there

// The details of one prediction: most probable classes, numbers, map.
function loadDetails(row) {
  return loadChunk(`detail-${Math.floor(row / data.details)}`).then((rows) => rows[row % data.details]);
}

const byId = (id) => document.getElementById(id);
const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)}\u00a0%`);
const isWrong = (row) => data.label[row] >= 0 && data.label[row] !== data.predicted[row];
const isRight = (row) => data.label[row] >= 0 && data.label[row] === data.predicted[row];
const labelOf = (row) => (data.label[row] >= 0 ? data.names[data.label[row]] : "");
const predictedOf = (row) => data.names[data.predicted[row]];

function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")}\u00a0${count === 1 ? one : many}`;
}
