// What the official JavaScript client gets from a server, as JSON: node openai_client.mjs ADDRESS MODULE_FOLDER
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [address, folder] = process.argv.slice(2);
const { default: OpenAI } = await import(pathToFileURL(createRequire(folder + "/").resolve("openai")));
const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: "none", maxRetries: 0 });
const texts = ["a man is playing the guitar .", "the cat sleeps"];
const model = "text-embedding-3-small";

const vectors = async (body) => {
  const { data, usage, model } = await client.embeddings.create(body);
  return { vectors: data.map((row) => Array.from(row.embedding)), indices: data.map((row) => row.index), usage, model };
};
const refused = (body) =>
  client.embeddings.create(body).then(
    () => null,
    (error) => ({ kind: error.constructor.name, status: error.status, type: error.type, message: error.message }),
  );

console.log(
  JSON.stringify({
    base64: await vectors({ model, input: texts }), // what it asks for, and decodes, where it is not told otherwise
    float: await vectors({ model, input: texts, encoding_format: "float" }),
    one: await vectors({ model, input: texts[0], dimensions: 5 }),
    models: (await client.models.list()).data.map(({ id }) => id),
    retrieved: (await client.models.retrieve("tiny")).id,
    ids: await refused({ model, input: [[1, 2], [3]] }),
    dimensions: await refused({ model, input: "a", dimensions: 13 }),
    unknown: await client.models.retrieve("none").catch((error) => error.constructor.name),
  }),
);
