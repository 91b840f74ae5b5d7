// What hiding patches in the pooling does to a prediction: half of the look, and share by share as two curves.

const CURVE = { width: 240, height: 88 };

// Both curves of a prediction: the probability of its class with shares of the patches hidden, and alone kept.
function decodeCurves(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const points = Array.from({ length: bytes.length / 2 }, (_, at) => (bytes[2 * at] + 256 * bytes[2 * at + 1]) / 65535);
  return { deletion: points.slice(0, points.length / 2), insertion: points.slice(points.length / 2) };
}

function fillHiding({ row, details }) {
  byId("hiding").hidden = !details.hidden;
  if (byId("hide")) hidePatches(0);
  if (byId("hide-choice")) byId("hide-choice").hidden = !details.curves;
  if (!details.hidden) return;
  const [name, p, kept, random] = details.hidden;
  const after = `${predictedOf(row)} ${percent(data.confidence[row])} → ${data.names[name]} ${percent(p)}`;
  byId("what-if").textContent = `Without the tiles that hold half of its look: ${after}. With those alone: ${percent(kept)}. Without as many at random: ${percent(random)}.`;
  byId("curves").hidden = !details.curves;
  if (details.curves) drawCurves(row, details);
}

function drawCurves(row, details) {
  const curves = decodeCurves(details.curves);
  opened.curves = curves;
  for (const [name, curve] of Object.entries(curves)) {
    byId(name).setAttribute("points", curve.map((p, at) => curvePoint(curve, at).join(",")).join(" "));
  }
  byId("hide").max = curves.deletion.length - 1;
  const ends = (curve) => `from ${percent(curve[0])} to ${percent(curve.at(-1))}`;
  byId("curve").setAttribute("aria-label", `Probability of ${predictedOf(row)}: ${ends(curves.deletion)} as more is hidden, ${ends(curves.insertion)} as more is kept`);
  const flips = details.flips === null ? "never" : `${Math.round(100 * details.flips)} % hidden`;
  const [changes, area] = [fillLine("Another class from", flips), fillLine("Area between (SRG)", data.srg[row].toFixed(2).replace("-", "−"))];
  changes.querySelector(".spread").remove();
  drawSpread(area, "srg", data.srg[row]);
  byId("hiding-numbers").replaceChildren(changes, area);
  drawScrubber();
}

const curvePoint = (curve, at) => [CURVE.width * at / (curve.length - 1), CURVE.height * (1 - curve[at])].map((length) => length.toFixed(1));

// The share that is hidden now, in the steps of the curves.
const hiddenShare = () => Number(byId("hide")?.value ?? 0) / Number(byId("hide")?.max || 1);

// How many patches that share is; halves go to the even number, as where the curves were computed.
function hiddenCount({ curves, grid }) {
  if (!curves) return 0;
  const exact = hiddenShare() * grid[0] * grid[1];
  const near = Math.round(exact);
  return near - exact === 0.5 && near % 2 ? near - 1 : near;
}

function hiddenWords({ row, curves }) {
  const at = Number(byId("hide").value);
  if (at === 0) return `Nothing hidden: ${quoted(predictedOf(row))} ${percent(curves.deletion[0])}.`;
  const share = `${Math.round(100 * hiddenShare())} %`;
  return `Without the ${share} of tiles it looked at most: ${quoted(predictedOf(row))} ${percent(curves.deletion[at])}. With those alone: ${percent(curves.insertion[at])}.`;
}

function drawScrubber() {
  const at = Number(byId("hide").value);
  const { curves } = opened;
  const [x] = curvePoint(curves.deletion, at);
  byId("curve-at").setAttribute("x1", x);
  byId("curve-at").setAttribute("x2", x);
  for (const name of ["deletion", "insertion"]) {
    const [cx, cy] = curvePoint(curves[name], at);
    byId(`${name}-at`).setAttribute("cx", cx);
    byId(`${name}-at`).setAttribute("cy", cy);
  }
  byId("hide-share").textContent = `${Math.round(100 * hiddenShare())} %`;
  byId("hide-words").textContent = hiddenWords(opened);
  byId("hide").setAttribute("aria-valuetext", hiddenWords(opened));
}

function hidePatches(at) {
  byId("hide").value = at;
  if (!opened?.curves) return;
  drawScrubber();
  paintLarge(readAddress());
}

function startHiding() {
  byId("hide")?.addEventListener("input", (event) => hidePatches(event.target.value));
  for (const kind of ["pointerdown", "pointermove"]) {
    byId("curve").addEventListener(kind, (event) => {
      if (kind === "pointermove" && !(event.buttons & 1)) return;
      const box = byId("curve").getBoundingClientRect();
      const place = (250 * (event.clientX - box.left) / box.width - 5) / CURVE.width; // 5 is the drawing's margin
      hidePatches(Math.round(byId("hide").max * place));
    });
  }
}
