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
      sortBody(table.tBodies[0], column, { direction: falling ? -1 : 1, figure: head.matches(".figure"), within: "within" in head.dataset });
      onSorted();
    });
  });
}

// By figures or as text; `within` keeps lines together that have the same data-test. What is unknown stands last.
function sortBody(body, column, { direction, figure, within }) {
  const read = (line) => {
    const cell = line.cells[column];
    const text = (cell.dataset.value ?? cell.textContent).trim();
    return figure ? Number.parseFloat(text.replaceAll(",", "")) : text;
  };
  const compare = (a, b) => {
    const apart = within ? a.dataset.test.localeCompare(b.dataset.test) : 0;
    const [one, other] = [read(a), read(b)];
    if (apart) return a.dataset.test === "" || b.dataset.test === "" ? -apart : apart;
    if (!figure) return direction * one.localeCompare(other, undefined, { numeric: true });
    return Number.isNaN(one) || Number.isNaN(other) ? Number.isNaN(one) - Number.isNaN(other) : direction * (one - other);
  };
  body.append(...[...body.rows].sort(compare));
}
