// A file of texts as a map: every text a point, near those that are alike.
import { ask, newest } from "./api.js";
import { groupColumn, parse, textColumn, written } from "./csv.js";
import { element, labelled, save, say } from "./dom.js";
import { Plot } from "./plot.js";
import { loading, python, snippets, some } from "./snippets.js";

const SHOWN = 200; // texts of a selection that are listed
const EXAMPLE = `text,about
A man is playing the guitar.,music
Someone strums an instrument.,music
The choir sings a hymn.,music
The band is on stage tonight.,music
She practises the violin.,music
The cat sleeps on the sofa.,animals
A kitten is napping.,animals
Two dogs run across the field.,animals
The horse drinks from the river.,animals
A bird builds its nest.,animals
It rains a lot in Bergen.,weather
The sun shines all day.,weather
A storm comes from the sea.,weather
Snow falls on the hills.,weather
The wind is cold this morning.,weather
`;

export function show(panel, state) {
  const file = element("input", { type: "file", accept: ".csv,.tsv,.txt,text/csv,text/plain" });
  const example = element("button", { type: "button", onclick: () => read(EXAMPLE, "the example") }, "Show an example");
  const drop = element("div", { class: "drop" },
    labelled("A CSV, TSV or text file", file, "Drop it here, or choose it. It is read in this browser; its texts go to this server alone."), example);
  const choices = element("div", { class: "row" });
  const results = element("div", { class: "results" });
  let texts = [];

  const refused = (message) => results.replaceChildren(element("p", { class: "fault", role: "alert" }, message));

  async function read(content, name) {
    const rows = name.endsWith?.(".txt") ? content.split(/\r?\n/).filter((line) => line.trim()).map((line) => [line]) : parse(content);
    const [header, ...body] = rows.length && rows[0].length === 1 && name.endsWith(".txt") ? [["text"], ...rows] : rows;
    if (!body.length) return refused(`${name} has no rows under its first line, the names of the columns; a .txt file has a text a line.`);
    state.table = { name, header, rows: body };
    choose();
  }

  function choose() {
    const { header, rows } = state.table;
    const text = textColumn(header, rows), group = groupColumn(header, rows, text);
    const pick = (chosen, none) => element("select", { onchange: () => draw() },
      none ? element("option", { value: "-1" }, none) : null,
      header.map((name, i) => element("option", { value: String(i), selected: i === chosen }, name || `column ${i + 1}`)));
    const columns = { text: pick(text), group: pick(group, "none") };
    choices.replaceChildren(labelled("Texts", columns.text), labelled("Colours", columns.group));
    const draw = () => run(Number(columns.text.value), Number(columns.group.value));
    draw();
  }

  const run = newest(async (signal, text, group) => {
    const { header, rows, name } = state.table;
    const filled = rows.filter((row) => (row[text] ?? "").trim());
    const taken = filled.slice(0, state.limits.max_texts);
    texts = taken.map((row) => row[text]);
    results.replaceChildren(element("p", {}, `Laying out ${taken.length} texts…`));
    const { answer, milliseconds, cut } = await ask("/page/map", { inputs: texts, model: state.module.name }, signal);
    const names = group < 0 ? [] : [...new Set(taken.map((row) => row[group] ?? ""))];
    const groups = taken.map((row) => (group < 0 ? 0 : names.indexOf(row[group] ?? "")));
    const notes = [`${taken.length} texts of ${name} in ${milliseconds.toFixed(0)} ms`];
    if (filled.length > taken.length) notes.push(`the first of ${filled.length}, for this server takes ${state.limits.max_texts} at once`);
    notes.push(`${(100 * (answer.variance[0] + answer.variance[1])).toFixed(0)} % of the variance is in the plane`);
    if (cut) notes.push(`${cut} were longer than the module takes, and cut`);
    results.replaceChildren(element("p", { class: "note" }, `${notes.join("; ")}.`), ...plotted(answer.points, groups, names, taken, header));
    say(`A map of ${taken.length} texts is shown.`);
  }, refused);

  function plotted(points, groups, names, rows, header) {
    const tip = element("div", { class: "tip", hidden: true });
    const selection = element("div", { class: "selection" });
    const spoken = element("p", { class: "hidden", "aria-live": "polite" });
    const plot = new Plot(points, groups, {
      pointed(row, place) {
        tip.hidden = row === null;
        if (row === null) return;
        spoken.textContent = tip.textContent = texts[row].slice(0, 300) + (names.length > 1 ? ` — ${names[groups[row]]}` : "");
        tip.classList.toggle("left", place[0] > plot.canvas.clientWidth / 2);
        tip.style.setProperty("--x", `${place[0]}px`);
        tip.style.setProperty("--y", `${place[1]}px`);
      },
      chosen(chosen) {
        selection.replaceChildren(...(chosen.length ? selectionOf(chosen, rows, header) : []));
        say(chosen.length ? `${chosen.length} texts are selected.` : "Nothing is selected.");
      },
    });
    const lasso = element("button", { type: "button", "aria-pressed": "false", onclick: () => {
      plot.drawing = !plot.drawing;
      lasso.setAttribute("aria-pressed", String(plot.drawing));
    } }, "Lasso");
    const button = (name, action) => element("button", { type: "button", onclick: action }, name);
    const tools = element("div", { class: "row" }, lasso, button("Zoom in", () => plot.zoom(1.5)), button("Zoom out", () => plot.zoom(1 / 1.5)),
      button("Show all", () => plot.reset()), button("Select all", () => plot.select(points.keys())), button("Select none", () => plot.select([])));
    const legend = element("ul", { class: "legend" }, names.slice(0, 8).map((name, i) => element("li", { class: `group-${i}` }, name || "(empty)")),
      names.length > 8 ? element("li", {}, "colours repeat") : null);
    return [tools, element("div", { class: "plot-frame" }, plot.canvas, tip), names.length > 1 ? legend : "", spoken, selection];
  }

  function selectionOf(chosen, rows, header) {
    const listed = chosen.slice(0, SHOWN);
    const table = () => written([header, ...chosen.map((row) => header.map((_, i) => rows[row][i] ?? ""))]);
    return [
      element("h2", {}, `${chosen.length} selected`),
      element("button", { type: "button", onclick: () => save("selection.csv", table(), "text/csv;charset=utf-8") }, "Save as CSV"),
      element("ol", { class: "texts" }, listed.map((row) => element("li", {}, texts[row]))),
      chosen.length > SHOWN ? element("p", { class: "note" }, `and ${chosen.length - SHOWN} more`) : "",
    ];
  }

  const take = async (chosen) => chosen && read(await chosen.text(), chosen.name);
  file.addEventListener("change", () => take(file.files[0]));
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files[0]);
    });
  }
  const code = () => ["/page/map", { inputs: some(texts), model: state.module.name }, loading(state.module,
    `vectors = module.encode(${python(some(texts))}, normalize_embeddings=True)\ncentred = vectors - vectors.mean(0)\naxes = np.linalg.svd(centred, full_matrices=False)[2][:2]\nprint(centred @ axes.T)`, "import numpy as np\nimport wellread")];
  panel.replaceChildren(drop, choices, results, snippets(code));
  if (state.table) choose();
}
