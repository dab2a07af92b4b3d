"use strict";
// The answers of one model, or of two side by side. Text from models only ever becomes text nodes, never markup.
// Questions and answers are script files beside the page, one of each a suite; they are loaded when a suite is chosen.
const quince = (() => {
  const ROW = 64; // height of a row of the list, pixels
  const OUTCOMES = ["correct", "wrong", "unparseable", "timeout", "error", "skipped"];
  const { models, suites } = JSON.parse(document.getElementById("browser").textContent);
  const root = document.currentScript.dataset.root;
  const form = document.querySelector(".controls");
  const list = document.querySelector(".list");
  const detail = document.querySelector(".detail");
  const found = document.querySelector(".found");
  const files = new Map();
  let problems = [];
  let shown = [];
  let chosen = -1;

  // Elements and files

  function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function load(file) {
    if (!files.has(file)) {
      files.set(file, new Promise((resolve, reject) => {
        const script = element("script", { src: root + file });
        script.quince = resolve;
        script.onerror = () => reject(new Error(`${file} is missing beside this page`));
        document.head.append(script);
      }));
    }
    return files.get(file);
  }

  const add = (file, data) => document.currentScript.quince(data);

  // One problem: [id, question, reference] and for each model [judged, correct, distinct, outcomes, greedy, answers]

  class Problem {
    constructor([id, question, reference], results) {
      Object.assign(this, { id, question, reference, results });
    }

    rate(model) {
      const result = this.results[model];
      return result && result[0] ? result[1] / result[0] : 0;
    }

    outcomes(model) {
      const result = this.results[model];
      if (!result) return [];
      return result[4] ? [result[4][2]] : result[3];
    }

    matches(query) {
      this.text ??= [this.id, this.question, ...Object.values(this.reference),
        ...this.results.flatMap((result) => (result?.[5] ?? []).map((answer) => answer[0])),
      ].join("\n").toLowerCase();
      return this.text.includes(query);
    }
  }

  // Filters

  const single = {
    all: ["all problems", () => true],
    never: ["never solved", (p) => p.rate(0) === 0],
    sometimes: ["solved sometimes", (p) => p.rate(0) > 0 && p.rate(0) < 1],
    always: ["always solved", (p) => p.rate(0) === 1],
  };
  const double = {
    all: ["all problems", () => true],
    lost: ["lost: first solves, second never", (p) => p.rate(0) > 0 && p.rate(1) === 0],
    found: ["new: first never solves, second does", (p) => p.rate(0) === 0 && p.rate(1) > 0],
    worse: ["solved less often by the second", (p) => p.rate(1) < p.rate(0)],
    better: ["solved more often by the second", (p) => p.rate(1) > p.rate(0)],
    neither: ["solved by neither", (p) => p.rate(0) === 0 && p.rate(1) === 0],
  };
  const changes = models.length > 1 ? double : single;

  function select(name, label, options) {
    const made = options.map(([value, text]) => element("option", { value }, text));
    return element("label", {}, label, element("select", { name }, ...made));
  }

  function makeControls() {
    const controls = [];
    if (suites.length > 1) controls.push(select("suite", "Suite", suites.map(({ name }, i) => [i, name])));
    controls.push(select("change", "Show", Object.entries(changes).map(([key, [text]]) => [key, text])));
    models.forEach(({ name }, i) => controls.push(select(`outcome${i}`, `Outcome of ${name}`, [["", "any"]])));
    form.prepend(...controls);
  }

  function offerOutcomes() {
    const counts = (test) => problems.reduce((sum, problem) => sum + test(problem), 0);
    for (const option of form.elements.change.options) {
      const [text, keep] = changes[option.value];
      option.textContent = `${text} (${counts(keep)})`;
    }
    models.forEach((_, i) => {
      const control = form.elements[`outcome${i}`];
      const kept = control.value;
      const seen = new Set(problems.flatMap((problem) => problem.outcomes(i)));
      const options = OUTCOMES.filter((name) => seen.has(name));
      control.replaceChildren(element("option", { value: "" }, "any"), ...options.map((name) => element("option", { value: name }, name)));
      control.value = seen.has(kept) ? kept : "";
    });
  }

  // The list: only the rows in view are elements

  const track = element("div", { class: "track" });

  function row(index) {
    const problem = shown[index];
    const bars = models.map(({ colour, name }, i) => element("i", { class: colour, style: `--share: ${100 * problem.rate(i)}%`, title: `${name}: ${solved(problem.results[i])}` }));
    const node = element("div", {
      class: "row", role: "option", id: `row-${index}`, style: `top: ${index * ROW}px`,
      "aria-selected": String(index === chosen), "aria-setsize": shown.length, "aria-posinset": index + 1,
    }, element("span", {}, (problem.question || problem.id).slice(-400)), element("div", { class: "bars" }, ...bars));
    node.addEventListener("click", () => choose(index));
    return node;
  }

  function draw() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
    track.style.height = `${shown.length * ROW}px`;
    track.replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, i) => row(first + i)));
    if (chosen >= 0) list.setAttribute("aria-activedescendant", `row-${chosen}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function choose(index, reveal = false) {
    chosen = Math.max(0, Math.min(index, shown.length - 1));
    if (!shown.length) chosen = -1;
    const top = chosen * ROW;
    if (reveal && (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight)) {
      list.scrollTop = top - (top < list.scrollTop ? 0 : list.clientHeight - ROW);
    }
    draw();
    show(shown[chosen]);
  }

  function refresh() {
    const query = form.elements.query.value.trim().toLowerCase();
    const keep = changes[form.elements.change.value][1];
    const outcomes = models.map((_, i) => form.elements[`outcome${i}`].value);
    shown = problems.filter((problem) => keep(problem)
      && outcomes.every((outcome, i) => !outcome || problem.outcomes(i).includes(outcome))
      && (!query || problem.matches(query)));
    found.textContent = `${shown.length.toLocaleString("en")} of ${problems.length.toLocaleString("en")} problems`;
    list.scrollTop = 0;
    choose(0);
  }

  // One problem with its answers

  const solved = (result) => (result && result[0] ? `${result[1]} of ${result[0]} right` : "not judged");

  function marked(text) {
    const query = form.elements.query.value.trim().toLowerCase();
    const lower = text.toLowerCase();
    const parts = [];
    let from = 0;
    for (let at = lower.indexOf(query); query && at >= 0; at = lower.indexOf(query, from)) {
      parts.push(text.slice(from, at), element("mark", {}, text.slice(at, at + query.length)));
      from = at + query.length;
    }
    return [...parts, text.slice(from)];
  }

  function answer([text, count, outcome, note, tokens], greedy = false) {
    const box = element("div", { class: `answer ${outcome}`, title: `${tokens} tokens` },
      element("span", { class: "count" }, greedy ? "greedy" : `${count}×`),
      element("pre", {}, ...marked(text || "(empty)")),
      element("span", { class: "outcome" }, outcome));
    if (note) box.append(element("small", {}, note));
    return box;
  }

  function column({ name, colour }, result) {
    const head = element("h4", {}, element("i", { class: `swatch ${colour}` }), name);
    const box = element("section", {}, head);
    if (!result) return box.append(element("p", { class: "empty" }, "This model was not asked.")), box;
    const [, , distinct, , greedy, answers] = result;
    head.append(element("small", {}, `${solved(result)}, ${distinct} distinct`));
    if (greedy) box.append(answer(greedy, true));
    if (answers) box.append(...answers.map((each) => answer(each)));
    else box.append(element("p", { class: "empty" }, "Left out to keep this page small; see samples.jsonl of the record."));
    return box;
  }

  function show(problem) {
    if (!problem) return detail.replaceChildren(element("p", { class: "empty" }, "No problem matches."));
    const reference = Object.entries(problem.reference).map(([name, value]) => `${name}: ${value}`).join("\n");
    return detail.replaceChildren(
      element("h3", {}, ...marked(problem.id)),
      element("pre", { class: "question" }, ...marked(problem.question)),
      element("pre", { class: "reference" }, ...marked(reference)),
      element("div", { class: "columns" }, ...models.map((model, i) => column(model, problem.results[i]))),
    );
  }

  // A suite

  async function open(index) {
    const suite = suites[index];
    try {
      const [questions, ...results] = await Promise.all([suite.questions, ...suite.answers].map(load));
      problems = questions.map((question, i) => new Problem(question, results.map((result) => result[i])))
        .filter((problem) => problem.results.some(Boolean));
    } catch (error) {
      problems = [];
      found.textContent = error.message;
      return;
    }
    offerOutcomes();
    refresh();
    performance.mark("answers");
  }

  const keys = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -Infinity, End: Infinity };

  function start() {
    makeControls();
    list.append(track);
    list.addEventListener("scroll", draw, { passive: true });
    window.addEventListener("resize", draw, { passive: true });
    list.addEventListener("keydown", (event) => {
      if (!(event.key in keys)) return;
      event.preventDefault();
      choose(chosen + keys[event.key], true);
    });
    form.addEventListener("input", ({ target }) => (target.name === "suite" ? open(Number(target.value)) : refresh()));
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const button of document.querySelectorAll(".confusion button")) {
      button.addEventListener("click", async () => {
        const index = suites.findIndex(({ name }) => name === button.closest("table").dataset.suite);
        form.reset();
        if (form.elements.suite) form.elements.suite.value = index;
        await open(index);
        JSON.parse(button.dataset.outcomes).forEach((outcome, i) => { form.elements[`outcome${i}`].value = outcome; });
        refresh();
        document.getElementById("answers").scrollIntoView();
        list.focus({ preventScroll: true });
      });
    }
    open(0);
  }

  start();
  return { add };
})();
