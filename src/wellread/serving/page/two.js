// Two modules beside each other: where they agree, where they do not, and how long each took.
import { cosines, newest, vectorsOf } from "./api.js";
import { EXAMPLES, heatMap, pairsOf } from "./compare.js";
import { element, labelled, lines, say, settled } from "./dom.js";
import { loading, python, snippets } from "./snippets.js";

const MOST = 40;

// Ranks from 0, the mean of them for values that are equal.
function ranks(values) {
  const order = values.map((value, i) => [value, i]).sort((a, b) => a[0] - b[0]);
  const ranked = new Array(values.length);
  for (let i = 0; i < order.length; ) {
    let end = i;
    while (end + 1 < order.length && order[end + 1][0] === order[i][0]) end++;
    for (let j = i; j <= end; j++) ranked[order[j][1]] = (i + end) / 2;
    i = end + 1;
  }
  return ranked;
}

export function spearman(a, b) {
  const [x, y] = [ranks(a), ranks(b)], mean = (a.length - 1) / 2;
  const product = (p, q) => p.reduce((sum, value, i) => sum + (value - mean) * (q[i] - mean), 0);
  return product(x, y) / Math.sqrt(product(x, x) * product(y, y));
}

function nearest(scores) {
  return scores.map((row, i) => row.reduce((best, score, j) => (j !== i && (best < 0 || score > row[best]) ? j : best), -1));
}

export function show(panel, state) {
  const models = state.modules.filter((module) => !module.task || module.task === "similarity");
  const pool = models.length ? models : state.modules;
  const pick = (chosen) => element("select", {}, pool.map((module) => element("option", { selected: module.name === chosen }, module.name)));
  const first = pick(state.module.name), second = pick(state.second_module ?? pool.find((module) => module.name !== state.module.name)?.name);
  const field = element("textarea", { rows: 6, spellcheck: false });
  field.value = state.compare ?? EXAMPLES;
  const results = element("div", { class: "results" });

  const run = newest(async (signal) => {
    [state.compare, state.second_module] = [field.value, second.value];
    const texts = lines(field.value).slice(0, MOST);
    if (texts.length < 3) return results.replaceChildren(element("p", {}, "Three sentences or more are compared, each on a line of its own."));
    const names = [first.value, second.value];
    const took = [];
    for (const name of names) took.push(await vectorsOf(texts, name, signal)); // in turn, or each would slow the other
    const [a, b] = took.map(({ vectors }) => cosines(vectors));
    const pairs = pairsOf(a).map((pair) => ({ ...pair, other: b[pair.i][pair.j] }));
    const agreement = spearman(pairs.map((pair) => pair.score), pairs.map((pair) => pair.other));
    const [near, other] = [nearest(a), nearest(b)];
    const same = near.filter((row, i) => row === other[i]).length;
    const apart = [...pairs].sort((p, q) => Math.abs(q.score - q.other) - Math.abs(p.score - p.other)).slice(0, 5);
    const facts = [
      ["Agreement", Number.isFinite(agreement) ? agreement.toFixed(3) : "–", "Spearman's correlation of the similarities of all pairs"],
      ["Same nearest", `${same} of ${texts.length}`, "sentences to which the same one is nearest"],
      ...names.map((name, i) => [name, `${took[i].milliseconds.toFixed(0)} ms`, `${took[i].vectors[0].length} dimensions`]),
    ];
    results.replaceChildren(
      element("dl", { class: "facts" }, facts.map(([name, value, note]) => element("div", {}, element("dt", {}, name), element("dd", {}, value), element("dd", { class: "note" }, note)))),
      element("div", { class: "beside" }, names.map((name, i) => element("section", {}, element("h2", {}, name), heatMap(texts, [a, b][i], `Cosines of ${name}${i ? ", the second" : ""}`)))),
      element("h2", {}, "Where they differ most"),
      element("ol", { class: "pairs" }, apart.map((pair) => element("li", {}, element("p", { class: "note" }, `${pair.score.toFixed(2)} and ${pair.other.toFixed(2)}`),
        element("p", {}, texts[pair.i]), element("p", {}, texts[pair.j])))));
    say(`Agreement ${agreement.toFixed(2)}.`);
  }, (message) => results.replaceChildren(element("p", { class: "fault", role: "alert" }, message)));

  field.addEventListener("input", settled(run));
  for (const each of [first, second]) each.addEventListener("change", run);
  const named = (select) => state.modules.find((module) => module.name === select.value);
  const code = () => ["/embed", { inputs: lines(field.value), model: second.value }, loading(named(first),
    `other = wellread.load(${JSON.stringify(named(second).handle)})\ntexts = ${python(lines(field.value))}\nfor each in (module, other):\n    vectors = each.encode(texts, normalize_embeddings=True)\n    print(vectors @ vectors.T)`)];
  panel.replaceChildren(element("div", { class: "row" }, labelled("First module", first), labelled("Second module", second)),
    pool.length < 2 ? element("p", { class: "note" }, "This server has one module; wellread serve takes several.") : "",
    labelled("Sentences, each on a line of its own", field), results, snippets(code));
  run();
}
