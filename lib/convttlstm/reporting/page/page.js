"use strict";
// Sorts tables, enlarges figures, shows where a row comes from, and steps through predictions. Without this
// script everything can still be read.

// ---------------------------------------------------------------- Tables

const UNITS = { K: 1e3, M: 1e6, G: 1e9 };

// The number that a cell begins with, such as 12.34 of "12.34 [11.9, 12.8]" or 16.27e9 of "16.27 G";
// null if it holds none.
function numberIn(text) {
  const found = /^[~+]?([-−]?[\d,]*\.?\d+)\s*([KMG](?![\w]))?/.exec(text.trim());
  if (!found) return null;
  return Number(found[1].replaceAll(",", "").replace("−", "-")) * (UNITS[found[2]] ?? 1);
}

function compareCells(a, b, falling, numeric) {
  const [x, y] = numeric ? [numberIn(a), numberIn(b)] : [null, null];
  const sign = falling ? -1 : 1;
  if (x !== null && y !== null) return sign * (x - y);
  if (x !== null || y !== null) return x !== null ? -1 : 1; // missing values come last, either way
  const [before, after] = [a.toLowerCase(), b.toLowerCase()];
  return before === after ? 0 : sign * (before < after ? -1 : 1);
}

function makeSortable(table) {
  // Rows are sorted within their group; its name, if it has one, stays on top.
  const groups = [...table.tBodies].map((body) => ({ body, rows: [...body.rows].filter((row) => row.className !== "group") }));
  if (!groups.some(({ rows }) => rows.length > 1)) return;
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const reset = document.createElement("button");
  reset.type = "button";
  reset.className = "order";
  reset.textContent = "Unsort";
  reset.hidden = true;
  table.closest(".scroll").before(reset);

  const show = (arranged, head, order) => {
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    if (head) head.setAttribute("aria-sort", order);
    groups.forEach(({ body, rows }) => body.append(...arranged(rows)));
    reset.hidden = !head;
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      const text = (row) => (row.cells[column].querySelector(".name") ?? row.cells[column]).textContent;
      const numeric = head.classList.contains("r");
      const sorted = (rows) => [...rows].sort((a, b) => compareCells(text(a), text(b), falling, numeric));
      show(sorted, head, falling ? "descending" : "ascending");
    });
  });
  reset.addEventListener("click", () => {
    show((rows) => rows, null);
    heads[0].querySelector("button").focus(); // the reset button itself is gone
  });
}

// ---------------------------------------------------------------- Tables and figures that are wider than the page

// A shadow on the right says that there is more.
function showWidth(scroll) {
  const rest = scroll.scrollWidth - scroll.clientWidth - scroll.scrollLeft;
  scroll.parentElement.classList.toggle("more-right", rest > 4);
}

// ---------------------------------------------------------------- The one dialog

const viewer = document.getElementById("viewer");

// Escape closes a modal dialog, and the browser returns the focus to the link that opened it.
function openViewer(title, ...content) {
  const heading = viewer.querySelector("h2");
  heading.textContent = title;
  viewer.querySelector(".content").replaceChildren(...content);
  viewer.showModal();
  viewer.scrollTop = 0;
  heading.focus();
}

function enlarge(image) {
  const copy = new Image();
  copy.src = image.src;
  copy.alt = image.alt;
  copy.className = image.className;
  openViewer(image.closest("figure").querySelector("b").textContent.replace(/\.$/, ""), copy);
}

function showOrigin(link) {
  const runs = link.dataset.runs.split(" ");
  const copies = runs.map((run) => {
    const facts = document.getElementById(`run-${run.replace("/", "-")}`);
    const copy = facts.closest("details").cloneNode(true);
    copy.querySelector("dl").removeAttribute("id");
    copy.open = runs.length === 1;
    return copy;
  });
  openViewer(runs.length === 1 ? "Where this comes from" : `Where this comes from: ${runs.length} runs`, ...copies);
}

viewer.querySelector(".close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close(); // a click outside its content
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.origin, a.enlarge");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.matches(".origin")) showOrigin(link);
  else enlarge(link.querySelector("img"));
});

// ---------------------------------------------------------------- Frame by frame

const SHEET_COLUMNS = 10; // frames side by side in a sheet, as the page was made
const FRAME_MS = 200;
const DARKER = [0, 114, 178]; // where a prediction is darker than the truth, and where brighter:
const BRIGHTER = [213, 94, 0]; // two colours that colour-blind readers can distinguish

async function decode(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

// The pixels of frame `t`, counted from 0, as ImageData.
function pixelsOf(sheet, t, [width, height]) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [x, y] = [t % SHEET_COLUMNS, Math.floor(t / SHEET_COLUMNS)];
  context.drawImage(sheet, x * width, y * height, width, height, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// White where both agree, and the fuller the colour, the further they are apart.
function differenceOf(prediction, truth) {
  const shown = new ImageData(prediction.width, prediction.height);
  for (let i = 0; i < shown.data.length; i += 4) {
    let apart = 0;
    for (let k = i; k < i + 3; k++) apart += (prediction.data[k] - truth.data[k]) / (3 * 255);
    const colour = apart < 0 ? DARKER : BRIGHTER;
    colour.forEach((full, k) => {
      shown.data[i + k] = Math.round(255 + (full - 255) * Math.abs(apart));
    });
    shown.data[i + 3] = 255;
  }
  return shown;
}

function squaredError(prediction, truth) {
  let sum = 0;
  for (let i = 0; i < truth.data.length; i++) sum += ((prediction.data[i] - truth.data[i]) / 255) ** 2;
  return sum / (truth.width * truth.height * 3); // opacity, the fourth value, is the same in both
}

function makeScrubber(holder) {
  const kept = JSON.parse(holder.querySelector("script").textContent);
  const root = document.getElementById("scrubber").content.cloneNode(true).firstElementChild;
  const find = (selector) => root.querySelector(selector);
  const [slider, play, example, difference] = [".frame", ".play", ".example", ".difference"].map(find);
  let sheets = []; // of the chosen sequence: the truth's, then the predictions'
  let panels = [];
  let timer = null;

  slider.max = kept.frames;
  find(".given").style.flexGrow = kept.context;
  find(".ahead").style.flexGrow = kept.frames - kept.context;
  kept.examples.forEach(({ head }, i) => example.add(new Option(head, i)));
  example.value = kept.first;

  function draw() {
    const t = slider.value - 1;
    const ahead = t - kept.context;
    const truth = pixelsOf(sheets[0], t, kept.size);
    panels.forEach(({ figure, canvas, error }, i) => {
      const predicted = i > 0 && ahead >= 0;
      const pixels = predicted ? pixelsOf(sheets[i], ahead, kept.size) : truth;
      const shown = predicted && difference.checked ? differenceOf(pixels, truth) : pixels;
      canvas.getContext("2d").putImageData(shown, 0, 0);
      figure.classList.toggle("ahead", ahead >= 0);
      if (predicted) error.textContent = `MSE ${(1e3 * squaredError(pixels, truth)).toFixed(2)}`;
      else error.textContent = ahead < 0 ? "input" : "what followed";
    });
    const said = `t = ${t + 1}: ${ahead < 0 ? "input" : `predicted frame ${ahead + 1}`}`;
    find(".now").value = said;
    slider.setAttribute("aria-valuetext", said);
    find(".legend").hidden = !difference.checked;
  }

  function addPanel(name) {
    const figure = document.createElement("figure");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = kept.size;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name}, the frame that the slider chose`);
    const caption = document.createElement("figcaption");
    const error = document.createElement("span");
    error.className = "error";
    caption.append(name, error);
    figure.append(canvas, caption);
    return { figure, canvas, error };
  }

  async function choose() {
    const chosen = example.value;
    const { truth, predictions } = kept.examples[chosen];
    const found = await Promise.all([truth, ...predictions.map(([, source]) => source)].map(decode));
    if (chosen !== example.value) return; // another was chosen meanwhile
    sheets = found;
    panels = ["Truth", ...predictions.map(([name]) => name)].map(addPanel);
    find(".panels").replaceChildren(...panels.map(({ figure }) => figure));
    draw();
    root.dataset.shown = chosen;
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    find(".now").setAttribute("aria-live", "polite");
  }

  // It never starts by itself, whatever motion the reader prefers.
  play.addEventListener("click", () => {
    if (timer) return pause();
    play.textContent = "Pause";
    find(".now").setAttribute("aria-live", "off"); // five announcements a second help nobody
    timer = setInterval(() => {
      slider.value = (slider.value % kept.frames) + 1;
      draw();
    }, FRAME_MS);
  });
  slider.addEventListener("input", () => {
    if (timer) pause();
    draw();
  });
  difference.addEventListener("change", draw);
  example.addEventListener("change", choose);
  slider.value = kept.context + 1;
  holder.prepend(root);
  choose();
}

// ---------------------------------------------------------------- Contents

// Next to the text on a wide screen; on a narrow one, a menu that closes after a choice.
const contents = document.getElementById("contents");
const wide = matchMedia("(min-width: 75rem)");
const fit = () => { contents.open = wide.matches; };
fit();
wide.addEventListener("change", fit);
contents.addEventListener("click", (event) => {
  if (event.target.closest("a") && !wide.matches) contents.open = false;
});

document.querySelectorAll("table.sortable").forEach(makeSortable);
const sizes = new ResizeObserver((changed) => changed.forEach(({ target }) => showWidth(target)));
document.querySelectorAll(".scroll, .wide > .enlarge").forEach((scroll) => {
  scroll.addEventListener("scroll", () => showWidth(scroll), { passive: true });
  sizes.observe(scroll);
});
document.querySelectorAll("a.origin, a.enlarge").forEach((link) => link.setAttribute("aria-haspopup", "dialog"));
document.querySelectorAll("figure.animation").forEach(makeScrubber);
