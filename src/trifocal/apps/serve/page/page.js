"use strict";
// The page of `trifocal serve`: it asks the API beside it, and puts what comes back in as text.

const $ = (selector, within = document) => within.querySelector(selector);
const make = (tag, text = "", fields = {}) => Object.assign(document.createElement(tag), { textContent: text }, fields);
let facts = { examples: [], limits: {} };

async function ask(path, form) {
  const answer = await fetch(path, form ? { method: "POST", body: form } : {});
  let told;
  try { told = await answer.json(); } catch { throw new Error("the server gave no answer; try again."); }
  if (!answer.ok) throw new Error(told.error);
  return told;
}

async function busy(section, button, place, work) {
  const said = $(place, section);
  button.disabled = true;
  said.classList.remove("wrong");
  said.textContent = "working …";
  try {
    said.textContent = (await work()) || "";
  } catch (error) {
    said.classList.add("wrong");
    said.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

class Stage {
  constructor(element) {
    element.append($("#stage").content.cloneNode(true));
    this.canvas = $("canvas", element);
    this.examples = $(".examples", element);
    this.box = null;
    this.grid = null;
    $("input", element).addEventListener("change", (event) => this.upload(event.target.files[0]));
    if (element.dataset.draws) this.listen();
  }

  add(number, source) {
    const button = make("button", "", { type: "button" });
    button.append(make("img", "", { src: source, alt: facts.examples[number].name }));
    button.addEventListener("click", () => this.choose(number, source));
    this.examples.append(button);
    if (!number && !this.picture) this.choose(number, source);
  }

  choose(number, source) {
    this.file = null;
    this.example = number;
    [...this.examples.children].forEach((button, place) => button.setAttribute("aria-pressed", place === number));
    return this.show(source);
  }

  async upload(file) {
    if (!file) return;
    this.file = file;
    [...this.examples.children].forEach((button) => button.setAttribute("aria-pressed", false));
    const address = URL.createObjectURL(file);
    try { await this.show(address); } catch { this.picture = null; } finally { URL.revokeObjectURL(address); }
  }

  async show(source) {
    const picture = new Image();
    picture.src = source;
    this.box = this.grid = null;
    await picture.decode();
    this.picture = picture;
    this.canvas.width = picture.naturalWidth;
    this.canvas.height = picture.naturalHeight;
    this.draw();
    this.changed?.();
  }

  draw() {
    const { canvas, picture } = this;
    if (!picture) return;
    const pen = canvas.getContext("2d");
    pen.drawImage(picture, 0, 0);
    if (this.grid) {
      const rows = this.grid.length, columns = this.grid[0].length;
      const width = canvas.width / columns, height = canvas.height / rows;
      this.grid.forEach((row, y) => row.forEach((share, x) => {
        pen.fillStyle = `rgba(213, 94, 0, ${0.65 * share})`;
        pen.fillRect(x * width, y * height, width + 0.5, height + 0.5);
      }));
    }
    if (this.box) {
      const line = Math.max(2, canvas.width / 160);
      for (const [color, width] of [["#fff", 2 * line], ["#d55e00", line]]) {
        pen.strokeStyle = color;
        pen.lineWidth = width;
        pen.strokeRect(...this.box);
      }
    }
  }

  listen() {
    const place = (event) => {
      const frame = this.canvas.getBoundingClientRect();
      const within = (value, most) => Math.min(Math.max(value, 0), most);
      return [
        within((event.clientX - frame.left) * this.canvas.width / frame.width, this.canvas.width),
        within((event.clientY - frame.top) * this.canvas.height / frame.height, this.canvas.height),
      ];
    };
    let start = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      start = place(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!start) return;
      const [x, y] = place(event);
      this.box = [Math.min(x, start[0]), Math.min(y, start[1]), Math.abs(x - start[0]), Math.abs(y - start[1])];
      this.grid = null;
      this.draw();
    });
    const stop = () => {
      start = null;
      if (this.box && (this.box[2] < 3 || this.box[3] < 3)) { this.box = null; this.draw(); }
    };
    this.canvas.addEventListener("pointerup", stop);
    this.canvas.addEventListener("pointercancel", stop);
  }

  form() {
    const form = new FormData();
    if (this.file) form.append("image", this.file);
    else form.append("example", this.example ?? 0);
    return form;
  }
}

function rank(section, rows) {
  const high = Math.max(...rows.map((row) => row.share), 1e-6);
  $(".ranked", section).replaceChildren(...rows.map((row) => {
    const item = make("li", row.text);
    item.append(make("progress", "", { max: 1, value: Math.max(row.share, 0) / high }), make("small", row.note));
    return item;
  }));
}

function explain(section, stage) {
  $(".clear", section).addEventListener("click", () => { stage.box = stage.grid = null; stage.draw(); });
  const button = $(".go", section);
  button.addEventListener("click", () => busy(section, button, ".said", async () => {
    const form = stage.form();
    if (stage.box) form.append("boxes", JSON.stringify([stage.box]));
    form.append("texts", $("textarea", section).value);
    const told = await ask("api/explain", form);
    rank(section, told.explanations.map((one) => ({ text: one.text, share: one.score, note: one.score.toFixed(3) })));
    stage.grid = told.map || null;
    stage.draw();
    return told.map ? "The map shows where the first one is seen." : "";
  }));
}

function classify(section, stage) {
  let classifier = null;
  const fit = $(".fit", section);
  fit.addEventListener("click", () => busy(section, fit, ".fitted", async () => {
    const form = new FormData();
    const zip = $("[name=zip]", section).files[0];
    const loose = [...$("[name=folder]", section).files].filter((file) => /\.(jpe?g|png|webp|json|safetensors)$/i.test(file.name));
    if (zip) form.append("files", zip, zip.name);
    else for (const file of loose) form.append("files", file, file.webkitRelativePath || file.name);
    if (!zip && !loose.length) throw new Error("choose a zip or a folder first.");
    const told = await ask("api/classifiers", form);
    classifier = told.classifier;
    const right = told.accuracy === undefined ? "" : `; ${Math.round(100 * told.accuracy)} % of ${told.held_out} held-out pictures are right`;
    return `${told.classes.length} classes: ${told.classes.join(", ")}${right}`;
  }));
  const go = $(".go", section);
  go.addEventListener("click", () => busy(section, go, ".said", async () => {
    if (!classifier) throw new Error("fit a classifier first.");
    const form = stage.form();
    form.append("classifier", classifier);
    const told = await ask("api/predict", form);
    rank(section, told.top.map((one) => ({ text: one.class, share: one.probability, note: `${(100 * one.probability).toFixed(1)} %` })));
    $(".reasons", section).replaceChildren(...told.reasons.map((reason) => {
      const row = make("tr");
      row.append(make("td", reason.name), make("td", reason.contribution.toFixed(2)));
      return row;
    }));
    return `${told.class}, because of (they add up to its logit, ${told.logit.toFixed(2)}):`;
  }));
}

function compose(section, stage) {
  const area = $("textarea", section), button = $(".go", section);
  stage.changed = () => {
    const known = stage.file ? [] : facts.examples[stage.example].captions;
    if (known.length) area.value = known.join("\n");
    $(".words", section).replaceChildren();
  };
  button.addEventListener("click", () => busy(section, button, ".said", async () => {
    const asking = (shown) => {
      const form = stage.form();
      form.append("captions", JSON.stringify(area.value.split("\n")));
      form.append("shown", shown);
      return ask("api/compose", form);
    };
    let told = await asking(0);
    const best = told.captions.reduce((best, row, place, all) => row.score > all[best].score ? place : best, 0);
    if (best) told = await asking(best);
    const rows = told.captions.map((row) => ({
      text: row.text, share: row.probability,
      note: `cosine ${row.score.toFixed(3)}, ${(100 * row.probability).toFixed(1)} % of these` + (row.local === undefined ? "" : `, word by word ${row.local.toFixed(3)}`),
    }));
    rank(section, rows.sort((one, other) => other.share - one.share));
    const words = $(".words", section);
    words.replaceChildren(...(told.words || []).map((one) => {
      const word = make("button", one.word, { type: "button" });
      word.addEventListener("click", () => {
        [...words.children].forEach((each) => each.setAttribute("aria-pressed", each === word));
        stage.grid = one.map;
        stage.draw();
      });
      return word;
    }));
    return told.words ? "Choose a word of the best caption to see where it looks: a guess; “trifocal eval MODEL word_maps” measures how good." : "";
  }));
}

function search(section) {
  const button = $(".go", section), asking = $("form", section);
  asking.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(section, button, ".said", async () => {
      const told = await ask("api/search", new FormData(asking));
      $(".hits", section).replaceChildren(...told.hits.map((hit) => {
        const item = make("li");
        if (hit.thumbnail) item.append(make("img", "", { src: hit.thumbnail, alt: hit.image }));
        const far = hit.deviation === undefined ? "" : `, ${hit.deviation.toFixed(1)} deviations`;
        item.append(make("span", `${hit.rank}. ${hit.image} `), make("small", hit.score.toFixed(3) + far));
        return item;
      }));
      if (told.good_match) return "";
      return `No good match: the best stands out by ${told.deviation.toFixed(1)} deviations, below the cut of ${told.cut}. These are the nearest.`;
    });
  });
}

function tabs() {
  const all = [...document.querySelectorAll("[role=tab]")];
  const open = (tab) => all.forEach((each) => {
    each.setAttribute("aria-selected", each === tab);
    each.tabIndex = each === tab ? 0 : -1;
    $(`#${each.getAttribute("aria-controls")}`).hidden = each !== tab;
  });
  all.forEach((tab, place) => {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = all[(place + step + all.length) % all.length];
      next.focus();
      open(next);
    });
  });
}

async function start() {
  tabs();
  const stages = {};
  for (const name of ["explain", "classify", "compose"]) stages[name] = new Stage($(`#${name} .stage`));
  explain($("#explain"), stages.explain);
  classify($("#classify"), stages.classify);
  compose($("#compose"), stages.compose);
  search($("#search"));
  facts = await ask("api");
  $("#model").textContent = facts.model;
  $("#searched").textContent = facts.searched.toLocaleString("en");
  for (const number of facts.examples.keys()) {
    const { picture } = await ask(`api/examples/${number}`);
    Object.values(stages).forEach((stage) => stage.add(number, picture));
  }
  document.body.dataset.ready = "yes";
}

start().catch((error) => { $("#model").textContent = error.message; });
