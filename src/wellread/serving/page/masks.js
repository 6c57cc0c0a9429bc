// Words that were left out, and what a masked language model would put there.
import { ask, newest } from "./api.js";
import { bar, element, labelled, say, settled } from "./dom.js";
import { loading, snippets } from "./snippets.js";

export function show(panel, state) {
  const { mask } = state.module;
  if (!mask) {
    const others = state.modules.filter((module) => module.mask).map((module) => module.name);
    return panel.replaceChildren(element("p", {}, others.length
      ? `${state.module.name} has no masked-language-model head; choose ${others.join(" or ")} above.`
      : "No module of this server has a masked-language-model head; serve one, such as bert-base-uncased, beside it."));
  }
  const field = element("textarea", { rows: 3, spellcheck: false });
  field.value = state.masked ?? `The man is playing the ${mask} in ${mask}.`;
  const results = element("div", { class: "results" });
  const run = newest(async (signal) => {
    state.masked = field.value;
    if (!field.value.includes(mask)) return results.replaceChildren(element("p", {}, `Put ${mask} where a word is to be guessed.`));
    const { answer, milliseconds } = await ask("/fill-mask", { inputs: field.value, top_k: 8, model: state.module.name }, signal);
    results.replaceChildren(element("p", { class: "note" }, `${milliseconds.toFixed(0)} ms`), ...answer.map((guesses, i) =>
      element("section", {}, element("h2", {}, `Mask ${i + 1}`), guesses.map((guess) => bar(guess.token_str, guess.score)))));
    say(`${answer.length === 1 ? "1 mask" : `${answer.length} masks`}: ${answer.map((guesses) => guesses[0].token_str).join(", ")}.`);
  }, (message) => results.replaceChildren(element("p", { class: "fault", role: "alert" }, message)));

  function insert() {
    field.setRangeText(mask, field.selectionStart, field.selectionEnd, "end");
    field.focus();
    run();
  }
  field.addEventListener("input", settled(run));
  const code = () => ["/fill-mask", { inputs: field.value, top_k: 8, model: state.module.name },
    loading(state.module, `for guesses in module.fill_mask(${JSON.stringify(field.value)}, top_k=8):\n    print([(guess.token_str, guess.score) for guess in guesses])`)];
  panel.replaceChildren(labelled(`A text with ${mask}`, field), element("div", { class: "row" }, element("button", { type: "button", onclick: insert }, `Insert ${mask}`)), results, snippets(code));
  run();
}
