// The threshold that can be moved: what answering only from some confidence on would give on these pictures.

function startThreshold() {
  const slider = document.getElementById("threshold");
  if (!slider) return;
  slider.addEventListener("input", () => showThreshold(slider.valueAsNumber / 100));
  showThreshold(slider.valueAsNumber / 100);
}

function showThreshold(least) {
  const labelled = data.confidence.map((_, row) => row).filter((row) => data.label[row] >= 0);
  const given = labelled.filter((row) => data.confidence[row] >= least);
  const coverage = given.length / labelled.length;
  const right = given.filter(isRight).length;
  const words = given.length ? `${percent(right / given.length)} of these right (${right} of ${given.length})` : "none left";
  byId("threshold-words").textContent = `from ${percent(least)} on: ${percent(coverage)} answered, ${words}`;
  const mark = byId("threshold-mark");
  const side = Number(mark.getAttribute("y2"));
  mark.setAttribute("x1", coverage * side);
  mark.setAttribute("x2", coverage * side);
  const bar = byId("histogram-mark");
  const wide = bar ? bar.ownerSVGElement.viewBox.baseVal.width - 8 : 0;
  if (bar) for (const end of ["x1", "x2"]) bar.setAttribute(end, least * wide);
}

starters.push(startThreshold);
