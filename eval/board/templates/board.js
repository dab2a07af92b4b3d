"use strict";
// The sample browser. Text from models only ever becomes text nodes, never markup.
(() => {
  const suites = JSON.parse(document.getElementById("data").textContent);
  const form = document.querySelector(".controls");
  const list = document.querySelector(".list");
  const detail = document.querySelector(".detail");
  const colours = new Map([...document.querySelectorAll("tbody .name")].map((cell) => [
    cell.childNodes[1].textContent.trim(), cell.querySelector(".swatch").className.split(" ").pop(),
  ]));
  const LISTED = 300;

  const element = (tag, options = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(options)) {
      if (key === "class") node.className = value;
      else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  };

  const solved = (problem, model) => (problem.models[model]?.correct ?? 0) > 0;
  const filters = {
    all: () => true,
    none: (problem, models) => !models.some((m) => solved(problem, m)),
    lost: (problem, [base, ...others]) => solved(problem, base) && others.some((m) => problem.models[m] && !solved(problem, m)),
    new: (problem, [base, ...others]) => !solved(problem, base) && others.some((m) => solved(problem, m)),
  };

  const haystack = (problem) => (problem.haystack ??= [
    problem.id, problem.question, ...Object.values(problem.reference),
    ...Object.values(problem.models).flatMap((m) => m.answers.map((a) => a.text)),
  ].join("\n").toLowerCase());

  const share = (result) => (result && result.n ? `${result.correct} of ${result.n} right` : "not judged");

  function show(problem, models, button) {
    list.querySelector('[aria-selected="true"]')?.setAttribute("aria-selected", "false");
    button.setAttribute("aria-selected", "true");
    detail.replaceChildren(
      element("h3", {}, problem.id),
      element("pre", { class: "question" }, problem.question),
      element("pre", { class: "reference" }, Object.entries(problem.reference).map(([k, v]) => `${k}: ${v}`).join("\n")),
    );
    for (const model of models.filter((m) => problem.models[m])) {
      const result = problem.models[model];
      detail.append(element("h4", {}, element("i", { class: `swatch ${colours.get(model)}` }), model,
        element("small", {}, `${share(result)}, ${result.distinct} distinct`)));
      for (const answer of result.answers) {
        detail.append(element("div", { class: `answer ${answer.outcome}` },
          element("span", { class: "count" }, `${answer.count}×`),
          element("pre", {}, answer.text || "(empty)"),
          element("span", { class: "outcome", title: answer.detail }, answer.outcome)));
      }
    }
  }

  function entry(problem, models) {
    const bars = element("div", { class: "bars" }, ...models.map((model) => {
      const result = problem.models[model];
      const percent = result && result.n ? (100 * result.correct) / result.n : 0;
      return element("i", { class: colours.get(model), style: `--share:${percent}%`, title: `${model}: ${share(result)}` });
    }));
    const button = element("button", { type: "button", role: "option", "aria-selected": "false" },
      element("span", {}, problem.question || problem.id), bars);
    button.addEventListener("click", () => show(problem, models, button));
    return button;
  }

  function refresh() {
    const { models, problems } = suites[form.elements.suite.selectedIndex];
    const query = form.elements.query.value.trim().toLowerCase();
    const keep = filters[form.elements.filter.value];
    const found = problems.filter((p) => keep(p, models) && (!query || haystack(p).includes(query)));
    list.replaceChildren(
      element("p", {}, `${found.length} of ${problems.length} problems`),
      ...found.slice(0, LISTED).map((p) => entry(p, models)),
    );
    if (found.length > LISTED) list.append(element("p", {}, `The first ${LISTED} are listed; search for the others.`));
    detail.replaceChildren(element("p", { class: "empty" }, "No problem matches."));
    list.querySelector("button")?.click();
  }

  for (const { suite } of suites) form.elements.suite.append(element("option", {}, suite));
  form.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => event.preventDefault());
  refresh();
})();
