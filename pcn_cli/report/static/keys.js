// Keys of the opened picture, and buttons that copy what stands in a box.

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

function addCopyButton(box) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${box.getAttribute("aria-label")}`);
  button.addEventListener("click", () => {
    const tell = (word) => { button.textContent = word; };
    const select = () => {
      getSelection().selectAllChildren(box);
      tell(document.execCommand("copy") ? "Copied" : "Press Ctrl+C");
    };
    if (navigator.clipboard) navigator.clipboard.writeText(box.textContent).then(() => tell("Copied"), select);
    else select();
  });
  box.before(button);
}

starters.push(() => {
  byId("prediction").addEventListener("keydown", pressKey);
  for (const box of document.querySelectorAll("main pre")) addCopyButton(box);
});
