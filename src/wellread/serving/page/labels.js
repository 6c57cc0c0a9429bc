// What a fine-tuned module says of a text: entities in colours, or labels with their probabilities.
import { ask, newest } from "./api.js";
import { bar, element, labelled, say, settled } from "./dom.js";
import { loading, snippets } from "./snippets.js";

const COLOURS = 8;

// Offsets count characters as Python does, not the pairs that JavaScript makes of some.
export function marked(text, entities, kinds) {
  const characters = [...text];
  const parts = [];
  let end = 0;
  for (const entity of [...entities].sort((a, b) => a.start - b.start)) {
    if (entity.start < end) continue;
    parts.push(characters.slice(end, entity.start).join(""));
    parts.push(element("mark", { class: `entity group-${kinds.indexOf(entity.entity) % COLOURS}`, title: entity.score.toFixed(3) },
      characters.slice(entity.start, entity.end).join(""), element("span", { class: "kind" }, ` ${entity.entity}`)));
    end = entity.end;
  }
  return element("p", { class: "marked" }, parts, characters.slice(end).join(""));
}

function kindsOf(labels) {
  return [...new Set(labels.filter((label) => label !== "O").map((label) => label.replace(/^[BIESLU]-|-[BIESLU]$/, "")))];
}

export function show(panel, state) {
  const { module } = state;
  if (!module.task || module.task === "similarity") {
    const others = state.modules.filter((each) => each.task && each.task !== "similarity").map((each) => each.name);
    return panel.replaceChildren(element("p", {}, others.length
      ? `${module.name} was not fine-tuned for labels; choose ${others.join(" or ")} above.`
      : "No module of this server was fine-tuned for labels; serve one that wellread finetune made beside it."));
  }
  const field = element("textarea", { rows: 4 });
  field.value = state.labelled ?? "Angela Merkel met the mayor of Paris.";
  const second = module.takes_pairs ? element("textarea", { rows: 3 }) : null;
  if (second) second.value = state.second ?? "Two politicians met.";
  const results = element("div", { class: "results" });
  const body = () => ({ inputs: second ? [[field.value, second.value]] : field.value, model: module.name });

  const run = newest(async (signal) => {
    [state.labelled, state.second] = [field.value, second?.value];
    if (!field.value.trim()) return results.replaceChildren();
    const { answer, milliseconds, cut } = await ask("/predict", body(), signal);
    const rows = second ? answer[0] : answer;
    const note = element("p", { class: "note" }, `${milliseconds.toFixed(0)} ms${cut ? "; the text was longer than the module takes, and cut" : ""}`);
    if (module.task === "tag") {
      const kinds = kindsOf(module.labels);
      const legend = element("ul", { class: "legend" }, kinds.map((kind, i) => element("li", { class: `group-${i % COLOURS}` }, kind)));
      results.replaceChildren(note, marked(field.value, rows, kinds), legend);
      say(rows.length ? rows.map((entity) => `${entity.text}: ${entity.entity}`).join("; ") : "No entities.");
    } else if (rows.length && "text" in rows[0]) {
      results.replaceChildren(note, ...rows.map((row) => bar(row.text || "(no answer)", row.score)));
    } else {
      results.replaceChildren(note, ...rows.map((row) => bar(row.label, row.score)));
      say(`${rows[0].label}: ${rows[0].score.toFixed(2)}`);
    }
  }, (message) => results.replaceChildren(element("p", { class: "fault", role: "alert" }, message)));

  for (const each of [field, second]) each?.addEventListener("input", settled(run));
  const texts = () => (second ? `[${JSON.stringify(field.value)}], [${JSON.stringify(second.value)}]` : JSON.stringify(field.value));
  const code = () => ["/predict", body(), loading(module, `print(module.predict(${texts()}))`)];
  panel.replaceChildren(...[labelled(second ? "First text" : "Text", field), second ? labelled("Second text", second) : null, results, snippets(code)].filter(Boolean));
  run();
}
