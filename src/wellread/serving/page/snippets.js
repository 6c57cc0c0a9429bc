// What the page shows, as a command and as Python that give the same.
import { element } from "./dom.js";

const LONG = 40; // texts that a snippet spells out

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function curl(path, body) {
  const options = `curl -s ${location.origin}${path} -H 'content-type: application/json'`;
  return `${options} \\\n  -d ${quoted(JSON.stringify(body))}`;
}

// A Python literal of what JSON holds of strings and lists; JSON's own escapes are Python's.
export function python(value) {
  return JSON.stringify(value, null, Array.isArray(value) && value.length > 1 ? 4 : undefined);
}

async function copy(text, name) {
  try {
    await navigator.clipboard.writeText(text);
    return `Copied as ${name}.`;
  } catch {
    return "The browser does not let this page copy; mark the text and copy it.";
  }
}

// Show the two, each with a button that copies it. `make` returns [path, body, lines of Python].
export function snippets(make) {
  const shown = element("pre", { tabIndex: 0, "aria-label": "The code" }, element("code"));
  const done = element("p", { class: "note", role: "status" });
  const buttons = ["curl", "Python"].map((name) => element("button", { type: "button", onclick: async () => {
    const [path, body, code] = make();
    const text = name === "curl" ? curl(path, body) : code;
    shown.firstChild.textContent = text;
    shown.hidden = false;
    done.textContent = await copy(text, name);
  } }, `Copy as ${name}`));
  shown.hidden = true;
  return element("section", { class: "snippets", "aria-label": "The same as code" }, element("div", { class: "row" }, buttons, done), shown);
}

export function loading(module, rest, imports = "import wellread") {
  return `${imports}\n\nmodule = wellread.load(${JSON.stringify(module.handle)})\n${rest}\n`;
}

export function some(texts) {
  return texts.slice(0, LONG);
}
