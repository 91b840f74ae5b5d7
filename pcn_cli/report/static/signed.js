// Signed maps: by how much hiding a patch lowers a class. Orange speaks for it, purple against it, clear at 0.

// ColorBrewer's PuOr from its middle to the last but one step: the last is too dark to be told on a photo.
const ORANGES = ["f7f7f7", "fee0b6", "fdb863", "e08214", "b35806"].map(fromHex);
const PURPLES = ["f7f7f7", "d8daeb", "b2abd2", "8073ac", "542788"].map(fromHex);

// The values patch by patch; the bytes are explained in encoded_maps.py.
function decodeSigned([, top, text]) {
  return Float32Array.from(atob(text), (letter) => ((letter.charCodeAt(0) << 24) >> 24) * top / 127);
}

// Strength −1 … 1, 0 at 0.
const signedStrength = (value, full) => Math.min(1, Math.max(-1, value / full));

// The value drawn at full strength where a map has a scale of its own.
const fullSigned = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);

// 255 colours from all against to all for.
const signedRamp = makeRamp((share) => {
  const strength = Math.min(1, Math.max(-1, (share * 255 - 127) / 127));
  const [red, green, blue] = colourAt(strength < 0 ? PURPLES : ORANGES, 0.5 + 0.5 * Math.abs(strength));
  // Half eased: weak values are seen, and do not lie over the photo as a fog.
  return [red, green, blue, 255 * 0.41 * (Math.abs(strength) + ease(Math.abs(strength)))];
});

// Paint signed values, one for each patch of the look of `details`, over `image` on `canvas`.
function paintSigned(canvas, image, details, { values, full, longest, smooth }) {
  const { width, height } = sizeCanvas(canvas, image, longest);
  const placed = { width, height, start: details.start, step: details.step, smooth };
  const field = fadeUnseen(spread(values, details.grid, placed), placed, details.seen);
  const pixels = new ImageData(width, height);
  const target = new Uint32Array(pixels.data.buffer);
  for (let at = 0; at < field.length; at += 1) target[at] = signedRamp[127 + Math.round(127 * signedStrength(field[at], full))];
  const context = canvas.getContext("2d");
  drawDimmed(context, image, "saturate(0.55)", 0);
  laySheet(context, pixels);
  frameSeen(context, details.seen, longest > 500 ? Math.max(1, longest / 500) : 0);
}

// Paint the patches that are hidden, the `count` most looked-at ones, over `image` on `canvas`.
function paintHidden(canvas, image, details, { count, longest }) {
  const { width, height } = sizeCanvas(canvas, image, longest);
  const veils = Float32Array.from(rankPatches(decodeLift(details.map)), (rank) => (rank < count ? 1 : 0));
  const { grid, start, step } = details;
  const field = spread(veils, grid, { width, height, start, step, smooth: false });
  const pixels = new ImageData(width, height);
  for (let at = 0; at < field.length; at += 1) pixels.data.set([22, 20, 18, 236 * field[at]], at * 4);
  const context = canvas.getContext("2d");
  laySheet(context, pixels);
  frameSeen(context, details.seen, longest > 500 ? Math.max(1, longest / 500) : 0);
}

// The place of each patch in falling order, 0 for the most looked-at; equal ones in reading order.
function rankPatches(lift) {
  const ranks = new Uint16Array(lift.length);
  [...lift.keys()].sort((a, b) => lift[b] - lift[a] || a - b).forEach((patch, rank) => { ranks[patch] = rank; });
  return ranks;
}
