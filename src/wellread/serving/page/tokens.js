// A text as a module reads it: its tokens, their ids, and what finds no room.
import { ask, newest } from "./api.js";
import { element, labelled, say, settled } from "./dom.js";
import { loading, snippets } from "./snippets.js";

const SHOWN = 2000;

// Which tokens find room: of a text that is too long the first, between the special tokens.
export function kept(tokens, room) {
  const special = tokens.filter((token) => token.special).length;
  let left = room - special;
  return tokens.map((token) => token.special || left-- > 0);
}

export function show(panel, state) {
  const field = element("textarea", { rows: 4, spellcheck: false });
  field.value = state.tokenized ?? "A man is playing the guitar, unbelievably well.";
  const results = element("div", { class: "results" });
  const run = newest(async (signal) => {
    state.tokenized = field.value;
    if (!field.value) return results.replaceChildren();
    const { answer } = await ask("/tokenize", { inputs: field.value, model: state.module.name }, signal);
    const tokens = answer[0], fits = kept(tokens, state.module.max_seq_length);
    const cut = fits.filter((each) => !each).length;
    const summary = `${tokens.length} tokens; the module takes ${state.module.max_seq_length}${cut ? `, and ${cut} are cut` : ""}.`;
    results.replaceChildren(element("p", { class: cut ? "fault" : "note" }, summary), element("ol", { class: "tokens" },
      tokens.slice(0, SHOWN).map((token, i) => element("li", { class: `token${token.special ? " special" : ""}${fits[i] ? "" : " cut"}` },
        element("span", { class: "piece" }, token.text || "·"), element("span", { class: "id" }, String(token.id)), fits[i] ? null : element("span", { class: "hidden" }, " (cut)")))),
      tokens.length > SHOWN ? element("p", { class: "note" }, `and ${tokens.length - SHOWN} more`) : "");
    say(summary);
  }, (message) => results.replaceChildren(element("p", { class: "fault", role: "alert" }, message)));
  field.addEventListener("input", settled(run));
  const code = () => ["/tokenize", { inputs: field.value, model: state.module.name },
    loading(state.module, `(ids,) = module.tokenize([${JSON.stringify(field.value)}])\nprint(list(zip(module.tokenizer.pieces(ids), ids.tolist())))`)];
  panel.replaceChildren(labelled("Text", field), results, snippets(code));
  run();
}
