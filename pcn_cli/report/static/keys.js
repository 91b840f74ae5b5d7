// Keys of the opened picture.

// S stars the picture, M shows it with and without its map.
function pressKey(event) {
  if (!opened || event.target.matches("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
  const key = event.key.toLowerCase();
  if (key === "s") byId("star").click();
  else if (key === "m") byId("map").hidden = !byId("map").hidden;
  else if (key === "?") byId("keys").hidden = !byId("keys").hidden;
  else return;
  event.preventDefault();
}

starters.push(() => {
  byId("prediction").addEventListener("keydown", pressKey);
  for (const box of document.querySelectorAll("main pre")) addCopyButton(box);
});
