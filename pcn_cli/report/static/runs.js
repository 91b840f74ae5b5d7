// The page of all runs: words and a set of test photos leave some of them, two that are ticked give a command.

const byName = (id) => document.getElementById(id);

function filterRuns() {
  const words = byName("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const tested = byName("tested")?.value ?? "";
  const lines = [...byName("runs").tBodies[0].rows];
  for (const line of lines) {
    const text = line.textContent.toLowerCase();
    line.hidden = !words.every((word) => text.includes(word)) || (tested !== "" && line.dataset.test !== tested);
  }
  const left = lines.filter((line) => !line.hidden).length;
  byName("count").textContent = left === lines.length ? "" : `${left} of ${lines.length} shown`;
  byName("nothing").hidden = left > 0;
}

// Two that were measured on the same photos have a command; of others it is said why not.
function offerCommand() {
  const boxes = [...byName("runs").querySelectorAll(".pick input")];
  const picked = boxes.filter((box) => box.checked).map((box) => box.closest("tr"));
  for (const box of boxes) box.closest("tr").classList.toggle("picked", box.checked);
  const same = picked.length === 2 && picked[0].dataset.test === picked[1].dataset.test;
  // The older one comes first, so that what the other fixed and broke is what changed since.
  const [first, second] = picked.sort((a, b) => a.dataset.made.localeCompare(b.dataset.made));
  const words = picked.length < 2 ? "Tick two runs for the command that compares them, photo by photo."
    : picked.length > 2 ? "Tick only two."
      : same ? "Type this beside the folder of runs:"
        : "They have different test photos. They are compared on those that both have, if there are any:";
  byName("two-words").textContent = words;
  const command = byName("two-command");
  command.hidden = picked.length !== 2;
  if (!command.hidden) command.textContent = `pcn runs compare ${first.dataset.word} ${second.dataset.word} --report`;
  if (command.previousElementSibling?.matches(".copy")) command.previousElementSibling.hidden = command.hidden;
}

addEventListener("DOMContentLoaded", () => {
  makeSortable(byName("runs"), () => {});
  addCopyButton(byName("two-command"));
  byName("filters").addEventListener("submit", (event) => event.preventDefault());
  byName("filters").addEventListener("input", filterRuns);
  byName("runs").addEventListener("change", offerCommand);
  // A browser that comes back to the page keeps what was typed and ticked.
  filterRuns();
  offerCommand();
});
