// Sentences beside each other: a heat map of their similarities, and the nearest pairs.
import { cosines, newest, vectorsOf } from "./api.js";
import { bar, element, labelled, lines, say, settled } from "./dom.js";
import { loading, python, snippets } from "./snippets.js";

export const EXAMPLES = [
  "A man is playing the guitar.",
  "Someone strums an instrument.",
  "The cat sleeps on the sofa.",
  "A kitten is napping.",
  "It rains a lot in Bergen.",
].join("\n");
const MOST = 60; // sentences of a heat map that a person can read

export function heatMap(texts, scores, caption) {
  const head = element("tr", {}, element("td"), texts.map((text, i) => element("th", { scope: "col", title: text }, String(i + 1))));
  const rows = texts.map((text, i) => element("tr", {},
    element("th", { scope: "row", title: text }, element("span", { class: "count" }, String(i + 1)), " ", text),
    scores[i].map((score, j) => element("td", {
      class: "heat", title: `${text}\n${texts[j]}`, variables: { "--share": Math.max(0, Math.min(1, score)) },
    }, score.toFixed(2)))));
  const table = element("table", { class: "heat-map" }, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, rows));
  return element("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, table);
}

// Every pair once, the most alike first.
export function pairsOf(scores) {
  const pairs = scores.flatMap((row, i) => row.slice(i + 1).map((score, j) => ({ i, j: i + 1 + j, score })));
  return pairs.sort((a, b) => b.score - a.score);
}

export function nearestPairs(texts, scores, count = 8) {
  return element("ol", { class: "pairs" }, pairsOf(scores).slice(0, count).map(({ i, j, score }) =>
    element("li", {}, bar("", score), element("p", {}, texts[i]), element("p", {}, texts[j]))));
}

export function show(panel, state) {
  const field = element("textarea", { rows: 6, spellcheck: false });
  field.value = state.compare ?? EXAMPLES;
  const results = element("div", { class: "results", "aria-busy": "false" });

  const put = (...parts) => {
    results.replaceChildren(...parts);
    results.setAttribute("aria-busy", "false");
  };
  const refused = (message) => put(element("p", { class: "fault", role: "alert" }, message));
  const run = newest(async (signal) => {
    state.compare = field.value;
    const given = lines(field.value);
    if (given.length < 2) return put(element("p", {}, "Two sentences or more are compared, each on a line of its own."));
    const texts = given.slice(0, MOST);
    results.setAttribute("aria-busy", "true");
    const { vectors, cut, milliseconds } = await vectorsOf(texts, state.module.name, signal);
    const scores = cosines(vectors);
    const notes = [`${texts.length} sentences in ${milliseconds.toFixed(0)} ms`];
    if (given.length > MOST) notes.push(`the first ${MOST} of ${given.length} are shown`);
    if (cut) notes.push(`${cut} longer than the module takes were cut`);
    put(
      element("p", { class: "note" }, `${notes.join("; ")}.`),
      heatMap(texts, scores, "Cosine of every two sentences"),
      element("h2", {}, "Nearest pairs"),
      nearestPairs(texts, scores));
    say(`${texts.length} sentences compared.`);
  }, refused);

  field.addEventListener("input", settled(run));
  const code = () => {
    const texts = lines(field.value);
    return ["/embed", { inputs: texts, model: state.module.name },
      loading(state.module, `vectors = module.encode(${python(texts)}, normalize_embeddings=True)\nprint(vectors @ vectors.T)`)];
  };
  panel.replaceChildren(labelled("Sentences, each on a line of its own", field), results, snippets(code));
  run();
}
