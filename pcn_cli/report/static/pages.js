// Which page is shown follows the address; without JavaScript all of them stand below one another.

function showPage(name) {
  for (const page of document.querySelectorAll("section.page")) page.classList.toggle("current", page.id === name);
  for (const link of document.querySelectorAll("nav [data-page]")) {
    if (link.dataset.page === name) {
      link.setAttribute("aria-current", "page");
      bringIntoView(link);
    } else {
      link.removeAttribute("aria-current");
    }
  }
  if (current && current !== name) {
    scrollTo(0, 0);
    byId(`${name}-title`).focus({ preventScroll: true });
  }
  current = name;
}

// On a narrow screen the names of the pages are wider than it: the one that is shown is moved to their middle.
function bringIntoView(link) {
  const bar = link.closest("nav");
  const { left, width } = link.getBoundingClientRect();
  bar.scrollLeft += left + width / 2 - bar.getBoundingClientRect().left - bar.clientWidth / 2;
}

function follow() {
  const state = readAddress();
  showPage(state.name);
  if (!data) return;
  if (drawers[state.name]) drawers[state.name](state);
  else paintTiles(byId(state.name), lookOf(state));
  drawPrediction(state);
}

function showTrouble(text) {
  byId("trouble").textContent = `${text}. Keep the folders data and img beside this page.`;
  byId("trouble").hidden = false;
}

addEventListener("DOMContentLoaded", () => {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // The address holds the state of the page and is not for jumping.
    byId("main").focus();
  });
  showPage(readAddress().name);
  for (const table of document.querySelectorAll("table.sortable")) makeSortable(table, follow);
  addEventListener("hashchange", follow);
  loadChunk("rows").then((rows) => {
    data = rows;
    startFilters();
    startDecisions();
    for (const start of starters) start();
    follow();
    document.documentElement.classList.add("ready");
  }).catch((error) => showTrouble(error.message));
});
