// Buttons that copy what stands in a box.

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
