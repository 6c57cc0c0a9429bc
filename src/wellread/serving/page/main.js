// The page: which module, which view.
import { ask, Refused } from "./api.js";
import { element } from "./dom.js";
import * as compare from "./compare.js";
import * as labels from "./labels.js";
import * as map from "./map.js";
import * as masks from "./masks.js";
import * as routes from "./routes.js";
import * as tokens from "./tokens.js";
import * as two from "./two.js";

const VIEWS = { compare, map, masks, labels, tokens, two, routes };
const panel = document.getElementById("panel");
const tabs = [...document.querySelectorAll("[role=tab]")];
const state = { modules: [], module: null, limits: {} };

function viewOf(hash) {
  const name = hash.replace("#", "");
  return name in VIEWS ? name : "compare";
}

function show() {
  const name = viewOf(location.hash);
  for (const tab of tabs) {
    const on = tab.dataset.view === name;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    if (on) panel.setAttribute("aria-labelledby", tab.id);
  }
  document.title = `${tabs.find((tab) => tab.dataset.view === name).textContent} – wellread`;
  VIEWS[name].show(panel, state);
}

function about(module) {
  const words = [module.task ? `for ${module.task}` : null, `${module.embedding_size} dimensions`, `up to ${module.max_seq_length} tokens`];
  return words.filter(Boolean).join(", ");
}

function choose(name) {
  state.module = state.modules.find((module) => module.name === name) ?? state.modules[0];
  document.getElementById("about").textContent = about(state.module);
  show();
}

for (const [i, tab] of tabs.entries()) {
  tab.addEventListener("click", () => { location.hash = tab.dataset.view; });
  tab.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = tabs.at(steps[event.key] % tabs.length);
    next.focus();
    location.hash = next.dataset.view;
  });
}
addEventListener("hashchange", show);

try {
  const { answer } = await ask("/page/modules");
  const { modules, ...limits } = answer;
  Object.assign(state, { modules, limits });
  const select = document.getElementById("module");
  select.append(...modules.map((module) => element("option", {}, module.name)));
  select.addEventListener("change", () => choose(select.value));
  choose(select.value);
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  panel.replaceChildren(element("p", { class: "fault", role: "alert" }, error.message));
}
globalThis.wellread = state; // what is shown, for whoever looks from the console
