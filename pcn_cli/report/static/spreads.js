// A number of one picture as a dot on the spread of all pictures.

const WIDE = 120;
const HIGH = 18;

// Draw into `line`, a copy of the template number-line; a number without a spread has no drawing.
function drawSpread(line, name, value) {
  const drawing = line.querySelector("svg");
  const known = data.spreads[name];
  if (!known || value === null) {
    drawing.parentElement.remove();
    return;
  }
  const [low, high, counts] = known;
  const most = Math.max(...counts);
  const step = WIDE / counts.length;
  const points = counts.map((count, at) => `${((at + 0.5) * step).toFixed(1)},${(HIGH - HIGH * Math.sqrt(count / most)).toFixed(1)}`);
  drawing.querySelector("polygon").setAttribute("points", `0,${HIGH} ${points.join(" ")} ${WIDE},${HIGH}`);
  const place = Math.min(1, Math.max(0, (value - low) / (high - low)));
  drawing.querySelector("circle").setAttribute("cx", (place * WIDE).toFixed(1));
  const below = counts.slice(0, Math.floor(place * counts.length)).reduce((sum, count) => sum + count, 0);
  const all = counts.reduce((sum, count) => sum + count, 0);
  line.querySelector(".rank").textContent = `more than about ${Math.round(100 * below / all)} % of all pictures`;
}
