// Maps are painted from numbers: interpolate lift, then scale, then colour. Lift is n times an even spread.

// Seventeen even steps of inferno, which grows evenly in lightness.
const INFERNO = ("000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d f98e09 fcac11 "
  + "f9cb35 f2ea69 fcffa4").split(" ").map(fromHex);

// Red, green, blue of a colour such as "fcffa4".
function fromHex(colour) {
  return [0, 2, 4].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}

// The lift of each patch; the bytes are explained in encoded_maps.py.
function decodeLift(text) {
  return Float32Array.from(atob(text), (letter) => {
    const byte = letter.charCodeAt(0);
    return byte === 0 ? 0 : 2 ** ((byte - 1) / 254 * 14 - 4);
  });
}

// For `count` pixels along one side: the two neighbouring patches and how far towards the second.
function placeAxis(count, start, step, patches, smooth) {
  const low = new Uint16Array(count);
  const high = new Uint16Array(count);
  const part = new Float32Array(count);
  for (let pixel = 0; pixel < count; pixel += 1) {
    const place = Math.min(Math.max(((pixel + 0.5) / count - start) / step, 0), patches - 1);
    low[pixel] = smooth ? Math.floor(place) : Math.floor(place + 0.5);
    high[pixel] = smooth ? Math.min(low[pixel] + 1, patches - 1) : low[pixel];
    part[pixel] = smooth ? place - low[pixel] : 0;
  }
  return { low, high, part };
}

// The lift at every pixel of a picture of width × height.
function spread(lift, [rows, columns], { width, height, start, step, smooth }) {
  const x = placeAxis(width, start[0], step[0], columns, smooth);
  const y = placeAxis(height, start[1], step[1], rows, smooth);
  const field = new Float32Array(width * height);
  for (let j = 0; j < height; j += 1) {
    const above = y.low[j] * columns;
    const below = y.high[j] * columns;
    for (let i = 0; i < width; i += 1) {
      const top = lift[above + x.low[i]] * (1 - x.part[i]) + lift[above + x.high[i]] * x.part[i];
      const bottom = lift[below + x.low[i]] * (1 - x.part[i]) + lift[below + x.high[i]] * x.part[i];
      field[j * width + i] = top * (1 - y.part[j]) + bottom * y.part[j];
    }
  }
  return field;
}

// What the network never saw carries no map: the values fade out there within half a patch, so that no edge is drawn.
function fadeUnseen(field, { width, height, step }, [left, top, right, bottom]) {
  const fall = (count, low, high, soft) => Float32Array.from({ length: count }, (_, at) => {
    const place = (at + 0.5) / count;
    return Math.max(0, 1 - Math.max(low - place, place - high, 0) / soft);
  });
  const [across, down] = [fall(width, left, right, step[0] / 2), fall(height, top, bottom, step[1] / 2)];
  for (let j = 0; j < height; j += 1) {
    for (let i = 0; i < width; i += 1) field[j * width + i] *= across[i] * down[j];
  }
  return field;
}

// The lift above which the map holds this share of the whole look, padding included.
function massThreshold(lift, grid, share, smooth) {
  const side = 64;
  const start = [0.5 / grid[1], 0.5 / grid[0]];
  const step = [1 / grid[1], 1 / grid[0]];
  const values = spread(lift, grid, { width: side, height: side, start, step, smooth }).sort().reverse();
  const wanted = share * values.reduce((sum, value) => sum + value, 0);
  let held = 0;
  return values.find((value) => (held += value) >= wanted) ?? 0;
}

// Strength 0 … 1: log2, 0 at an even spread, 1 at the full lift, which is that of the whole report unless said otherwise.
const CLEAR = 1.15; // times an even spread
const strengthOf = (lift, full = data.full) => Math.min(1, Math.log2(Math.max(lift, 1)) / Math.log2(full));

// The lift drawn at full strength where a map has a scale of its own.
const fullOf = (lift) => lift.reduce((most, value) => Math.max(most, value), 1.1);

// The same order with soft shoulders, so that no edge shows where the scale begins.
const ease = (strength) => strength * (2 - strength);

// The colour at a share 0 … 1 of the way through even steps.
function colourAt(steps, share) {
  const place = share * (steps.length - 1);
  const index = Math.min(Math.floor(place), steps.length - 2);
  return steps[index].map((from, c) => from + (steps[index + 1][c] - from) * (place - index));
}

// Red, green, blue, alpha for 256 strengths. The spotlight's alpha is what is taken out of the dimmed picture.
const ramps = {
  spotlight: makeRamp((strength) => [0, 0, 0, 255 * ease(strength)]),
  heat: makeRamp((strength) => [...colourAt(INFERNO, 0.25 + 0.75 * strength), 255 * 0.82 * ease(strength)]),
  mean: makeRamp((strength) => [...colourAt(INFERNO, strength), 255]),
};

function makeRamp(colour) {
  const ramp = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level += 1) ramp.set(colour(level / 255), level * 4);
  return new Uint32Array(ramp.buffer);
}

function fillRamp(pixels, field, ramp, full) {
  const target = new Uint32Array(pixels.data.buffer);
  for (let at = 0; at < field.length; at += 1) target[at] = ramp[Math.round(255 * strengthOf(field[at], full))];
}

// White lines with a dark rim, which are seen on any picture: strong around half of the look, fine around four fifths.
function fillContours(pixels, field, [inner, outer], line, opacity = 255) {
  const { width, height, data: target } = pixels;
  for (let j = 0, at = 0; j < height; j += 1) {
    for (let i = 0; i < width; i += 1, at += 1) {
      const across = field[i + 1 < width ? at + 1 : at - 1] - field[at];
      const down = field[j + 1 < height ? at + width : at - width] - field[at];
      const slope = Math.hypot(across, down);
      if (slope < 1e-6) continue; // A plateau has no line, whatever its height.
      const away = Math.min(Math.abs(field[at] - inner) / slope - 0.8 * line, Math.abs(field[at] - outer) / slope);
      const white = Math.min(1, Math.max(0, line + 0.5 - away));
      const rim = Math.min(1, Math.max(0, 2.2 * line + 0.5 - away));
      target.fill(255 * white, at * 4, at * 4 + 3);
      target[at * 4 + 3] = opacity * Math.max(white, 0.55 * rim);
    }
  }
}

// Paint the map of `details` over `image` on `canvas`; `longest` is the canvas's longer side in pixels, `own` scales
// the map by itself instead of over the whole report, as one whose `lift` is given always is.
function paintMap(canvas, image, details, { look, longest, smooth = true, own = false }) {
  const { width, height } = sizeCanvas(canvas, image, longest);
  if (look === "photo" || !details.map || !image.naturalWidth) return;
  const lift = details.lift ?? decodeLift(details.map);
  const placed = { width, height, start: details.start, step: details.step, smooth };
  const field = fadeUnseen(spread(lift, details.grid, placed), placed, details.seen);
  const line = Math.max(1, longest / 500);
  const levels = [0.5, 0.8].map((share) => massThreshold(lift, details.grid, share, smooth));
  const context = canvas.getContext("2d");
  if (look !== "contour") {
    const pixels = new ImageData(width, height);
    fillRamp(pixels, field, ramps[look], own || details.lift ? fullOf(lift) : data.full);
    if (look === "spotlight") drawDimmed(context, image, "brightness(0.68)", 0.32);
    if (look === "heat") drawDimmed(context, image, "saturate(0.4) brightness(0.82)", 0.2);
    // The spotlight is a hole in the dimmed picture, through which the photo below shows as it is.
    context.globalCompositeOperation = look === "spotlight" ? "destination-out" : "source-over";
    laySheet(context, pixels);
    context.globalCompositeOperation = "source-over";
  }
  if (look !== "heat") {
    const lines = new ImageData(width, height);
    // Where the look is as good as even, a line around half of it would promise a place that there is none.
    const drawn = look === "contour" ? levels : [levels[0], levels[0]];
    if (look === "contour" || levels[0] > CLEAR) fillContours(lines, field, drawn, look === "contour" ? line : 0.6 * line, look === "contour" ? 255 : 150);
    laySheet(context, lines);
  }
  frameSeen(context, details.seen, longest > 500 ? line : 0);
}

// Give the canvas the picture's shape with `longest` pixels along its longer side, and empty it.
function sizeCanvas(canvas, image, longest) {
  const scale = longest / Math.max(image.naturalWidth, image.naturalHeight, 1);
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  return { width: canvas.width, height: canvas.height };
}

// Lay the pixels over what is drawn already; putting them there directly would replace it.
function laySheet(context, pixels) {
  const sheet = document.createElement("canvas");
  sheet.width = pixels.width;
  sheet.height = pixels.height;
  sheet.getContext("2d").putImageData(pixels, 0, 0);
  context.drawImage(sheet, 0, 0);
}

// The picture with less light and colour, or a dark veil where the browser has no filters for canvases.
function drawDimmed(context, image, filter, veil) {
  const { width, height } = context.canvas;
  if ("filter" in context) {
    context.filter = filter;
    context.drawImage(image, 0, 0, width, height);
    context.filter = "none";
  } else {
    context.fillStyle = `rgb(16 16 18 / ${100 * veil}%)`;
    context.fillRect(0, 0, width, height);
  }
}

// A fine dashed line around what the network saw, where that is not the whole picture and there is room for it.
function frameSeen(context, [left, top, right, bottom], line) {
  const { width, height } = context.canvas;
  const box = [left * width, top * height, (right - left) * width, (bottom - top) * height];
  if (!line || (box[0] <= 0.5 && box[1] <= 0.5 && box[0] + box[2] >= width - 0.5 && box[1] + box[3] >= height - 0.5)) return;
  context.save();
  context.lineWidth = line;
  for (const [colour, offset] of [["rgb(0 0 0 / 45%)", 0], ["rgb(255 255 255 / 60%)", 5 * line]]) {
    context.setLineDash([5 * line, 5 * line]);
    context.lineDashOffset = offset;
    context.strokeStyle = colour;
    context.strokeRect(...box);
  }
  context.restore();
}
