// The page to drop photos on: each is sent to the server that gave the page, and its answer and map are drawn.

data = { full: 8 }; // the lift in full colour, where there is no report to take it from
const shown = []; // the answers on the page, so that another look can be drawn
let stream = null; // of the camera

const lookNow = () => document.querySelector('[name="look"]:checked').value;

async function ask(file) {
  const response = await fetch("answer", { method: "POST", body: file });
  return response.json();
}

// One after the other: the model has one photo at a time, and answers stay in order.
let last = Promise.resolve();
function answerAll(files) {
  for (const file of files) last = last.then(() => answerOne(file)).catch((error) => complain(String(error)));
}

async function answerOne(file) {
  const line = byId("answer").content.firstElementChild.cloneNode(true);
  const [image, canvas] = [line.querySelector("img"), line.querySelector("canvas")];
  line.querySelector(".file").textContent = file.name;
  line.querySelector(".label").textContent = "…";
  byId("answers").prepend(line);
  image.src = URL.createObjectURL(file);
  let answer;
  try {
    answer = await ask(file);
  } catch {
    answer = { error: "the program that answers has ended; start it again" };
  }
  const words = answer.error ?? nameOf(answer);
  line.querySelector(".label").textContent = words;
  line.classList.toggle("bad", Boolean(answer.error));
  byId("said").textContent = `${file.name}: ${words}`;
  if (answer.error) {
    line.querySelector(".bars").remove();
    line.querySelector(".photo").remove();
    return;
  }
  line.querySelector(".reason").textContent = doubtsOf(answer).join("; ");
  line.querySelector(".reason").hidden = !doubtsOf(answer).length;
  line.querySelector("tbody").replaceChildren(...answer.top.map(barOf));
  image.alt = `${file.name}: ${words}`;
  try {
    await image.decode();
    shown.push({ image, canvas, details: answer.map });
    canvas.hidden = false;
    paintOne(shown.at(-1));
  } catch {
    line.querySelector(".photo").textContent = "This browser cannot show the photo.";
  }
}

function nameOf(answer) {
  if (answer.labels) return answer.labels.map((one) => one.label).join(", ") || "none";
  return answer.label;
}

function doubtsOf(answer) {
  const doubts = answer.reason || answer.unlike > 1 ? [answer.reason || "unlike anything learned"] : [];
  return answer.missing ? [...doubts, `truncated: ${percent(answer.missing)} of it is missing`] : doubts;
}

function barOf({ label, p }) {
  const bar = byId("bar").content.firstElementChild.cloneNode(true);
  bar.querySelector("th").textContent = label;
  bar.querySelector(".fill").style.width = `${100 * p}%`;
  bar.querySelector(".figure").textContent = percent(p);
  return bar;
}

function paintOne({ image, canvas, details }) {
  const longest = Math.min(1000, Math.round(Math.max(image.clientWidth, image.clientHeight, 200) * devicePixelRatio));
  paintMap(canvas, image, details, { look: lookNow(), longest });
}

function complain(words) {
  byId("trouble").textContent = words;
  byId("trouble").hidden = false;
}

async function startCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    complain("The camera cannot be used: there is none, or this page may not.");
    return;
  }
  byId("take").disabled = true; // until there is a picture to take
  byId("video").srcObject = stream;
  byId("viewer").hidden = false;
}

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  byId("viewer").hidden = true;
  byId("camera").focus();
}

function takePhoto() {
  const [video, canvas] = [byId("video"), document.createElement("canvas")];
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  const name = `camera ${shown.length + 1}.jpg`;
  canvas.toBlob((blob) => answerAll([new File([blob], name, { type: "image/jpeg" })]), "image/jpeg", 0.92);
}

byId("files").addEventListener("change", ({ target }) => {
  answerAll([...target.files]);
  target.value = ""; // so that the same photo can be chosen again
});
for (const kind of ["dragover", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault(); // else the browser would open the photo in place of the page
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") answerAll([...event.dataTransfer.files]);
  });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
addEventListener("paste", (event) => answerAll([...event.clipboardData.files]));
byId("looks").addEventListener("change", () => shown.forEach(paintOne));
byId("camera").addEventListener("click", startCamera);
byId("video").addEventListener("loadeddata", () => {
  byId("take").disabled = false;
  byId("take").focus();
});
byId("take").addEventListener("click", takePhoto);
byId("stop").addEventListener("click", stopCamera);
