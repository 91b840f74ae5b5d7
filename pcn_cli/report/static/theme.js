// Light or dark: as the browser wishes, until the button is pressed.

document.documentElement.classList.add("js");

function startTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const show = () => { document.getElementById("theme").textContent = isDark() ? "Light" : "Dark"; };
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  dark.addEventListener("change", show);
  show();
}

addEventListener("DOMContentLoaded", startTheme);
