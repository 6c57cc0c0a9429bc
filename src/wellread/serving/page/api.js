// What the page asks of the server, with the key where there is one, and the time that it took.

let key = sessionStorage.getItem("wellread-key") ?? "";

export class Refused extends Error {}

function askForKey() {
  const dialog = document.getElementById("key-dialog");
  return new Promise((resolve, reject) => {
    let left = false;
    dialog.oncancel = () => { left = true; }; // by Escape
    dialog.onclose = () => {
      if (left) return reject(new Refused("This server asks for a key. Load the page again to give it."));
      key = document.getElementById("key").value;
      sessionStorage.setItem("wellread-key", key);
      resolve();
    };
    dialog.showModal();
  });
}

function faultOf(body, status) {
  const fault = body?.error ?? body?.message ?? body?.detail;
  if (typeof fault === "string") return fault;
  return fault?.message ?? `the server answered with ${status}`;
}

// Ask a route; what comes back has the answer, the seconds from here, and how many texts were cut. Not all answers are JSON:
// `read` takes what else there is.
export async function ask(path, body, signal, read = (response) => response.json()) {
  const headers = { "content-type": "application/json" };
  if (key) headers.authorization = `Bearer ${key}`;
  const began = performance.now();
  let response;
  try {
    response = await fetch(path, body === undefined ? { headers, signal } : { method: "POST", headers, signal, body: JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer. Is it running?");
  }
  if (response.status === 401) {
    await askForKey();
    return ask(path, body, signal, read);
  }
  let answer;
  try {
    answer = await read(response);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(`The server answered with ${response.status} and no JSON.`);
  }
  if (!response.ok) throw new Refused(faultOf(answer, response.status));
  const inference = Number(response.headers.get("x-inference-time") ?? NaN);
  return {
    answer,
    milliseconds: performance.now() - began,
    inference,
    cut: Number(response.headers.get("x-truncated-texts") ?? 0),
  };
}

// Vectors of length 1, so that a product of two is their cosine.
export async function vectorsOf(texts, model, signal) {
  const { answer, ...took } = await ask("/embed", { inputs: texts, model, normalize: true }, signal);
  return { vectors: answer, ...took };
}

export function cosines(vectors) {
  return vectors.map((row) => vectors.map((column) => row.reduce((sum, value, i) => sum + value * column[i], 0)));
}

// Run the newest call alone: one that comes before the last has ended ends it, and what it refuses is said.
export function newest(action, refused) {
  let controller;
  return async (...values) => {
    controller?.abort();
    const own = (controller = new AbortController());
    try {
      await action(own.signal, ...values);
    } catch (error) {
      if (error.name === "AbortError" || own.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      refused(error.message);
    }
  };
}
