// The large picture: the chosen map over it, the wipe between map and photo, and the value of every patch.

function paintLarge(state) {
  const current = opened;
  if (!current?.details?.map || !data.width[current.row]) return;
  const [image, canvas, look] = [byId("large"), byId("map"), lookOf(state)];
  const own = byId("own-scale").checked;
  const map = chooseMap(state, current);
  const hidden = hiddenCount(current.details);
  current.map = map;
  drawChoice(map, state, current);
  const full = drawLegend(map, { look, own });
  byId("map-words").textContent = hidden ? hiddenWords(current) : mapWords(map, current.details, { look, own });
  byId("legend").hidden ||= hidden > 0;
  canvas.setAttribute("aria-label", canvasWords(map, current.details));
  byId("prediction").classList.toggle("bare", look === "photo" && map.kind === "look" && !hidden);
  if (!byId("value").hidden && document.activeElement === byId("patch")) showPatch(byId("patch").valueAsNumber);
  hasPixels(image).then(() => {
    if (opened !== current || current.map !== map) return;
    // At least so many pixels that the frame of what the model saw is drawn, of which the words speak.
    const longest = Math.min(1400, Math.round(Math.max(image.clientWidth, image.clientHeight, 501) * devicePixelRatio));
    const smooth = !byId("patches").checked;
    if (hidden) paintHidden(canvas, image, current.details, { count: hidden, longest });
    else if (map.kind === "look") paintMap(canvas, image, { ...current.details, map: map.text }, { look, longest, own, smooth });
    else paintSigned(canvas, image, current.details, { values: map.values, full, longest, smooth });
  }).catch(() => {});
}

function canvasWords(map, details) {
  if (map.kind === "look" && !map.place) return `Map of where the model looked. ${lookWords(details)}`;
  return mapWords(map, details, { look: "", own: false });
}

function setWipe(share) {
  const place = Math.min(100, Math.max(0, share));
  byId("wipe").value = place;
  byId("map").style.clipPath = `inset(0 0 0 ${place}%)`;
  byId("wipe-line").style.left = `${place}%`;
  byId("wipe-line").classList.toggle("on", place > 0 && place < 100);
}

// The patch nearest to a place on the picture; −1 where the model saw nothing.
function patchAt({ grid: [rows, columns], start, step, seen: [left, top, right, bottom] }, x, y) {
  if (x < left || x > right || y < top || y > bottom) return -1;
  const nearest = (share, axis, count) => Math.min(count - 1, Math.max(0, Math.round((share - start[axis]) / step[axis])));
  return nearest(y, 1, rows) * columns + nearest(x, 0, columns);
}

// The value of a patch, beside its place on the picture.
function showValue(text, x, y) {
  const value = byId("value");
  value.textContent = text;
  value.hidden = false;
  const right = x > 0.5; // the words go where there is room
  value.style.left = right ? "auto" : `${100 * x}%`;
  value.style.right = right ? `${100 - 100 * x}%` : "auto";
  value.style.top = `${Math.min(100 * y, 88)}%`;
}

// Mark a patch and say its value, as the keys walk from patch to patch.
function showPatch(patch) {
  const { map, details: { grid: [, columns], start, step } } = opened;
  const [x, y] = [start[0] + (patch % columns) * step[0], start[1] + Math.floor(patch / columns) * step[1]];
  const words = valueWords(map, patch);
  byId("patch").setAttribute("aria-valuetext", `${patchWords(patch, opened.details)}: ${words}`);
  const mark = byId("patch-mark").style;
  [mark.left, mark.top] = [`${100 * (x - step[0] / 2)}%`, `${100 * (y - step[1] / 2)}%`];
  [mark.width, mark.height] = [`${100 * step[0]}%`, `${100 * step[1]}%`];
  byId("patch-mark").hidden = false;
  showValue(words, x + step[0] / 2, y);
}

function hidePatch() {
  byId("value").hidden = true;
  byId("patch-mark").hidden = true;
}

// Begin at the patch that was looked at most.
function startPatches({ map, grid: [rows, columns] }) {
  const lift = decodeLift(map);
  byId("patch").max = rows * columns - 1;
  byId("patch").value = lift.indexOf(lift.reduce((most, value) => Math.max(most, value)));
  byId("patch").setAttribute("aria-valuetext", patchWords(byId("patch").valueAsNumber, { grid: [rows, columns] }));
  hidePatch();
}

function startStage() {
  const [photo, patch] = [byId("photo"), byId("patch")];
  for (const field of document.querySelectorAll('[name="large-look"]')) {
    field.addEventListener("change", () => go({ look: field.value }, { replace: true }));
  }
  for (const field of document.querySelectorAll('[name="map"]')) {
    field.addEventListener("change", () => go({ map: field.value, of: "" }, { replace: true }));
  }
  byId("of")?.addEventListener("change", (event) => go({ of: event.target.value }, { replace: true }));
  for (const id of ["patches", "own-scale"]) byId(id).addEventListener("change", () => paintLarge(readAddress()));
  byId("wipe").addEventListener("input", (event) => setWipe(Number(event.target.value)));
  for (const kind of ["focus", "input"]) patch.addEventListener(kind, () => { if (opened?.map) showPatch(patch.valueAsNumber); });
  patch.addEventListener("blur", hidePatch);
  patch.addEventListener("keydown", (event) => {
    const rows = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!rows || !opened?.map) return;
    event.preventDefault();
    const target = patch.valueAsNumber + rows * opened.details.grid[1];
    if (target >= 0 && target <= Number(patch.max)) patch.value = target;
    showPatch(patch.valueAsNumber);
  });
  startPointer(photo);
  setWipe(0);
  addEventListener("resize", () => paintLarge(readAddress()));
}

// The pointer wipes while it is pressed, and asks for values while it is not.
function startPointer(photo) {
  const place = (event) => {
    const box = photo.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  photo.addEventListener("pointerdown", (event) => {
    if (!opened?.map) return;
    photo.setPointerCapture(event.pointerId);
    setWipe(100 * place(event)[0]);
  });
  photo.addEventListener("pointermove", (event) => {
    if (!opened?.map) return;
    const [x, y] = place(event);
    if (event.buttons & 1) setWipe(100 * x);
    const patch = patchAt(opened.details, x, y);
    if (event.pointerType === "mouse") showValue(patch < 0 ? "not seen by the model" : valueWords(opened.map, patch), x, y);
  });
  photo.addEventListener("pointerleave", hidePatch);
}
