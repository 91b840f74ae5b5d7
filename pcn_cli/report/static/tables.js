// Tables that can be put in another order by their headings.

function makeSortable(table, onSorted) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent.trim() || table.tBodies[0].rows[0]?.cells[column].querySelector("svg")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      sortBody(table.tBodies[0], column, falling ? -1 : 1);
      onSorted();
    });
  });
}

function sortBody(body, column, direction) {
  const read = (line) => {
    const text = line.cells[column].textContent.trim();
    return column === 0 ? text : text === "–" ? -1 : Number.parseFloat(text.replaceAll(",", ""));
  };
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
  body.append(...[...body.rows].sort((a, b) => direction * compare(read(a), read(b))));
}
