// The routes of the server, as /openapi.json describes them: what each takes, and a form that asks it.
import { ask, newest } from "./api.js";
import { element, labelled } from "./dom.js";

const LONGEST = 4000; // characters of an answer that are shown
const NUMBERS = /\n\s+(-?\d[\d.e+-]*,?)(?=\n)/g; // that stand on a line each

// What a schema allows, in a few words.
export function words(schema) {
  if (schema.anyOf) return [...new Set(schema.anyOf.map(words))].join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  if (schema.type === "array") return `list of ${schema.items ? words(schema.items) : "anything"}`;
  return schema.type ?? "anything";
}

// A value that a schema allows, with texts a person could have written.
export function example(schema) {
  if (schema.anyOf) return example(schema.anyOf[0]);
  if (schema.enum) return schema.enum[0];
  if (schema.type === "array") return [example(schema.items ?? {})];
  if (schema.type === "object") return body(schema);
  return { string: "A man is playing the guitar.", integer: 1, number: 1, boolean: true, null: null }[schema.type] ?? "A man is playing the guitar.";
}

// A body of the fields that must be there.
function body(schema) {
  return Object.fromEntries((schema.required ?? []).map((name) => [name, example(schema.properties[name])]));
}

function fields(schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, of]) => element("tr", {},
    element("th", { scope: "row" }, element("code", {}, name)), element("td", {}, words(of)), element("td", {}, schema.required?.includes(name) ? "required" : "")));
  return element("div", { class: "scroll", tabIndex: 0, role: "group", "aria-label": "Fields of the body" }, element("table", { class: "fields" },
    element("thead", {}, element("tr", {}, ["Field", "Type", ""].map((name) => element("th", { scope: "col" }, name)))), element("tbody", {}, rows)));
}

async function jsonOrText(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// A form that asks a route; parameters of its path begin with the name of the module that is chosen.
function form(method, path, schema, state) {
  const parameters = [...path.matchAll(/{(\w+)}/g)].map(([, name]) => {
    const field = element("input", { type: "text", value: name === "name" ? state.module.name : "1" });
    return { name, field };
  });
  const text = schema ? element("textarea", { rows: 4, spellcheck: false }) : null;
  if (text) text.value = JSON.stringify(body(schema), null, 2);
  const answered = element("pre", { hidden: true, tabIndex: 0, "aria-label": "The answer" });
  const fault = element("p", { class: "fault", role: "alert", hidden: true });
  const refuse = (message) => {
    Object.assign(fault, { textContent: message, hidden: false });
    answered.hidden = true;
  };
  const send = newest(async (signal) => {
    let given;
    try {
      given = text ? JSON.parse(text.value) : undefined;
    } catch (error) {
      return refuse(`The body is no JSON: ${error.message}`);
    }
    const address = parameters.reduce((sum, { name, field }) => sum.replace(`{${name}}`, encodeURIComponent(field.value)), path);
    const { answer } = await ask(address, given, signal, jsonOrText);
    const shown = typeof answer === "string" ? answer : JSON.stringify(answer, null, 1).replace(NUMBERS, " $1");
    answered.textContent = shown.length > LONGEST ? `${shown.slice(0, LONGEST)}\n… ${shown.length - LONGEST} characters more` : shown;
    Object.assign(answered, { hidden: false });
    fault.hidden = true;
  }, refuse);
  return element("form", { onsubmit: (event) => { event.preventDefault(); send(); } },
    parameters.map(({ name, field }) => labelled(name, field)), text ? labelled("Body", text) : null,
    element("button", { type: "submit" }, `Send ${method}`), fault, answered);
}

function route(path, method, operation, state) {
  const schema = operation.requestBody?.content["application/json"].schema;
  const inside = element("div", {});
  return element("details", { class: "route", ontoggle: () => {
    if (!inside.childElementCount) inside.append(...(schema ? [fields(schema)] : []), form(method, path, schema, state));
  } }, element("summary", {}, element("code", {}, element("b", {}, method), ` ${path}`), element("span", { class: "note" }, operation.summary)), inside);
}

export function show(panel, state) {
  const results = element("div", { class: "results" });
  const run = newest(async (signal) => {
    const { answer } = await ask("/openapi.json", undefined, signal);
    const groups = new Map();
    for (const [path, methods] of Object.entries(answer.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const [protocol] = operation.tags;
        groups.set(protocol, [...(groups.get(protocol) ?? []), route(path, method.toUpperCase(), operation, state)]);
      }
    }
    const sections = [...groups].map(([protocol, routes]) => element("section", {}, element("h2", {}, protocol), routes));
    results.replaceChildren(element("p", { class: "note" }, "What programs ask of this server; for tools, as OpenAPI 3.1: ",
      element("a", { href: "/openapi.json" }, "/openapi.json")), ...sections);
  }, (message) => results.replaceChildren(element("p", { class: "fault", role: "alert" }, message)));
  panel.replaceChildren(results);
  run();
}
