// Elements of the page, made from names, properties and children; texts are always texts, never HTML.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "variables") for (const [each, number] of Object.entries(value)) made.style.setProperty(each, number);
    else if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return made;
}

let numbered = 0;

// A field under its label, and the two together.
export function labelled(label, field, note) {
  field.id ||= `field-${++numbered}`;
  const words = element("label", { for: field.id }, label);
  if (!note) return element("div", { class: "field" }, words, field);
  const said = element("p", { class: "note", id: `${field.id}-note` }, note);
  field.setAttribute("aria-describedby", said.id);
  return element("div", { class: "field" }, words, field, said);
}

export function say(message) {
  document.getElementById("status").textContent = message;
}

export function lines(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

// Call a function once the calls of it have ceased for a while.
export function settled(action, milliseconds = 300) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

// A bar with its number, of what lies between 0 and 1.
export function bar(name, share, note) {
  return element("div", { class: "bar" },
    element("span", { class: "bar-name" }, name),
    element("span", { class: "bar-track", "aria-hidden": "true" },
      element("span", { class: "bar-fill", variables: { "--share": Math.max(0, Math.min(1, share)) } })),
    element("span", { class: "bar-number" }, note ?? share.toFixed(3)));
}

export function save(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
