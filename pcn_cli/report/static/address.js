// The address after # is the state of the page: #gallery?label=roses&show=wrong&photo=12

const LOOKS = ["photo", "spotlight", "heat", "contour"];
const MAPS = ["look", "evidence", "contrast"];
const WORDS = ["show", "label", "predicted", "find", "sort", "group", "as", "size", "look", "page", "map", "of", "photo"];

let current = ""; // the page that is shown
// What the pages' own scripts add: what is to be called once the data is there, and what draws a page for an address.
const starters = [];
const drawers = {};

function readAddress() {
  const [name, query = ""] = location.hash.slice(1).split(/\?(.*)/s);
  const given = new URLSearchParams(query.replaceAll("+", "%2B"));
  const state = Object.fromEntries(WORDS.map((word) => [word, given.get(word) ?? ""]));
  const page = document.querySelector(`section.page[id="${CSS.escape(name)}"]`) ? name : current || "overview";
  return { name: page, ...state };
}

// The address of a state; what is empty is left out.
function addressOf(state) {
  const query = WORDS.filter((word) => state[word] !== "" && state[word] !== undefined)
    .map((word) => `${word}=${encodeURIComponent(state[word])}`).join("&");
  return `#${state.name}${query ? `?${query}` : ""}`;
}

function go(change, { replace = false } = {}) {
  const target = addressOf({ ...readAddress(), ...change });
  if (target === location.hash) return;
  if (replace) {
    history.replaceState(null, "", target);
    follow();
  } else {
    location.hash = target;
  }
}

const lookOf = (state) => (LOOKS.includes(state.look) ? state.look : "spotlight");
const mapOf = (state) => (MAPS.includes(state.map) ? state.map : data.firstMap);
