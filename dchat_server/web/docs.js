// Shows /openapi.json. Whatever the document says goes into the page as text, never as HTML.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
let api;

// Building the page

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(9).filter((child) => child !== undefined && child !== null && child !== ""));
  return node;
}

// Paragraphs at empty lines, code between backticks; nothing else is looked at.
function prose(text) {
  return (text || "").split(/\n\n+/).filter(Boolean).map((part) => el("p", {}, inline(part)));
}

function inline(text) {
  return (text || "").split("`").map((part, at) => (at % 2 && part ? el("code", {}, part) : part));
}

function pre(text) {
  return el("pre", { tabindex: "0" }, text);
}

// Schemas

function resolve(node) {
  if (!node || !node.$ref) return node;
  const found = node.$ref.slice(2).split("/").reduce((at, step) => at[step], api);
  const { $ref, ...beside } = node;
  return { ...found, ...beside };
}

function nameOf(node) {
  return node && node.$ref ? node.$ref.split("/").pop() : "";
}

function bounds(schema) {
  const words = [];
  if (schema.minimum !== undefined || schema.maximum !== undefined) {
    const most = schema.maximum === Number.MAX_SAFE_INTEGER ? undefined : schema.maximum;
    words.push(range(schema.minimum, most, ""));
  }
  if (schema.minLength !== undefined || schema.maxLength !== undefined) {
    words.push(range(schema.minLength, schema.maxLength, " characters"));
  }
  if (schema.minItems !== undefined || schema.maxItems !== undefined) {
    words.push(range(schema.minItems, schema.maxItems, " items"));
  }
  if (schema.default !== undefined) words.push("default " + JSON.stringify(schema.default));
  return words;
}

function range(low, high, unit) {
  if (high === undefined) return "at least " + low + unit;
  if (low === undefined) return "at most " + high + unit;
  return low + " to " + high + unit;
}

// A short phrase for a schema, with links to the named ones it is made of.
function typeOf(schema) {
  if (!schema) return [];
  const name = nameOf(schema);
  if (name) {
    const codes = schema.properties && schema.properties.code;
    const only = codes && codes.enum ? [" with code ", join(codes.enum.map((each) => el("code", {}, each)), " or ")] : [];
    return [el("a", { href: "#schema-" + name }, name), only];
  }
  if (schema.const !== undefined) return [el("code", {}, JSON.stringify(schema.const))];
  if (schema.enum) return join(schema.enum.map((each) => el("code", {}, JSON.stringify(each))), " or ");
  const choices = schema.oneOf || (schema.type ? undefined : schema.anyOf);
  if (choices) return join(choices.map(typeOf), " or ");
  if (schema.type === "array") return [["list of "], typeOf(schema.items), note(bounds(schema))];
  const types = [].concat(schema.type || "anything").join(" or ");
  const format = schema.format ? " (" + schema.format + ")" : "";
  return [types + format, note(bounds(schema)), schema.pattern ? [", like ", el("code", {}, schema.pattern)] : []];
}

function note(words) {
  return words.length ? ", " + words.join(", ") : "";
}

function join(parts, between) {
  return parts.flatMap((part, at) => (at ? [between, part] : [part]));
}

// `required`: the words that say so, where it is; else the field is called optional.
function field(name, schema, description, required, extra) {
  const whole = resolve(schema) || {};
  return el(
    "div",
    {},
    el(
      "dt",
      {},
      el("code", {}, name),
      el("span", { class: "type" }, extra || "", typeOf(schema)),
      el("span", { class: required ? "must" : "type" }, required || "optional"),
    ),
    el("dd", {}, prose(description || whole.description), nested(schema)),
  );
}

// The members of an object that has no name of its own.
function nested(schema) {
  if (!schema || schema.$ref) return [];
  if (schema.properties) return [members(schema)];
  if (schema.items) return nested(schema.items);
  return [];
}

function members(schema) {
  const required = schema.required || [];
  return el(
    "dl",
    { class: "fields" },
    Object.entries(schema.properties).map(([name, part]) => field(name, part, part.description, required.includes(name) && " ")),
  );
}

function shape(schema) {
  if (!schema) return [];
  if (schema.properties && !schema.$ref) return [members(schema)];
  if (schema.oneOf && !schema.$ref) return schema.oneOf.map((each) => (each.$ref ? el("p", {}, typeOf(each)) : shape(each)));
  return [el("p", {}, typeOf(schema))];
}

// Operations

function content(media, required) {
  return Object.entries(media || {}).map(([type, part]) => [
    el("p", { class: "media" }, type, required ? "" : " (may be left out)"),
    part["x-line-schema"] ? el("p", {}, "Each line or event: ", typeOf(part["x-line-schema"])) : shape(part.schema),
    part.example === undefined ? "" : pre(shown(part.example)),
  ]);
}

function shown(example) {
  return typeof example === "string" ? example : JSON.stringify(example, null, 2);
}

function needs(operation) {
  const ways = operation.security || [];
  if (!ways.length) return el("p", { class: "quiet" }, "Needs no token.");
  const scope = Object.values(ways[0])[0][0];
  const names = ways.map((way) => Object.keys(way)[0]);
  return el(
    "p",
    { class: "quiet" },
    scope ? ["Needs a token with the scope ", el("code", {}, scope)] : "Needs any token",
    " (" + names.join(", ") + ").",
  );
}

function quoted(text) {
  return "'" + text.replaceAll("'", "'\\''") + "'";
}

function curl(method, path, operation) {
  const parameters = operation.parameters || [];
  let address = path;
  const query = [];
  for (const each of parameters) {
    if (each.in === "path") address = address.replace("{" + each.name + "}", encodeURIComponent(each.example));
    if (each.in === "query" && each.example !== undefined) query.push(each.name + "=" + encodeURIComponent(each.example));
  }
  const streams = operation.operationId === "events";
  const how = (streams ? "-N " : "") + (method === "get" ? "" : "-X " + method.toUpperCase() + " ");
  const words = ["curl " + how + quoted(location.origin + address + (query.length ? "?" + query.join("&") : ""))];
  if ((operation.security || []).length) words.push('-H "Authorization: Bearer $TOKEN"');
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  if (body) words.push("-H 'Content-Type: application/json'", "-d " + quoted(JSON.stringify(body.example)));
  return words.join(" \\\n  ");
}

function shell(text) {
  const box = el("div", { class: "shell" }, pre(text));
  if (navigator.clipboard) {
    const button = el("button", { type: "button" }, "Copy");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    box.append(button);
  }
  return box;
}

function answer(status, node) {
  const response = resolve(node);
  const headers = Object.keys(response.headers || {});
  const bad = status >= "400";
  const problem = bad && response.content && response.content["application/problem+json"];
  return el(
    "div",
    { class: "answer" },
    el("p", {}, el("span", { class: "status " + (bad ? "bad" : "good") }, status), inline(response.description)),
    problem ? "" : content(response.content, true),
    headers.length ? el("p", { class: "quiet" }, "Headers: ", join(headers.map((name) => el("code", {}, name)), ", ")) : "",
  );
}

function card(id, heading, inside) {
  return el("details", { class: "card", id }, el("summary", {}, el("h3", {}, heading)), el("div", { class: "inside" }, inside));
}

function operationCard(method, path, operation) {
  const parameters = operation.parameters || [];
  const body = operation.requestBody;
  const node = card(
    operation.operationId,
    [
      el("span", { class: "method " + method }, method.toUpperCase()),
      el("span", { class: "address" }, path),
      el("span", { class: "gist" }, operation.summary),
    ],
    [
      prose(operation.description),
      needs(operation),
      parameters.length
        ? [
            el("h4", {}, "Parameters"),
            el(
              "dl",
              { class: "fields" },
              parameters.map((each) => field(each.name, each.schema, each.description, each.required && "required", each.in + ": ")),
            ),
          ]
        : "",
      body ? [el("h4", {}, "Request body"), content(body.content, body.required)] : "",
      el("h4", {}, "Try it"),
      shell(curl(method, path, operation)),
      el("h4", {}, "Answers"),
      Object.entries(operation.responses).map(([status, response]) => answer(status, response)),
    ],
  );
  node.dataset.words = [method, path, operation.summary, operation.description, operation.operationId].join(" ").toLowerCase();
  return node;
}

function schemaCard(name, schema) {
  return card("schema-" + name, el("span", { class: "address" }, name), [
    prose(schema.description),
    schema.type && schema.type !== "object" ? el("p", {}, typeOf(schema)) : shape(schema),
  ]);
}

// The whole

function show() {
  const main = document.getElementById("content");
  const contents = el("ul", {});
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("state").remove();
  main.append(...prose(api.info.description), el("h2", { id: "signing" }, "Signing requests"));
  main.append(
    el(
      "dl",
      { class: "fields" },
      Object.entries(api.components.securitySchemes).map(([name, way]) => {
        const how = way.type === "http" ? "header Authorization: Bearer …" : way.in + " " + way.name;
        const title = el("dt", {}, el("code", {}, name), el("span", { class: "type" }, how));
        return el("div", {}, title, el("dd", {}, prose(way.description)));
      }),
    ),
  );
  for (const tag of api.tags) {
    const id = "tag-" + tag.name.toLowerCase();
    const links = el("ul", {});
    main.append(el("section", { "aria-labelledby": id }, el("h2", { id }, tag.name), prose(tag.description), cardsOf(tag.name, links)));
    contents.append(el("li", {}, el("a", { href: "#" + id }, tag.name), links));
  }
  const schemas = Object.entries(api.components.schemas).map(([name, schema]) => schemaCard(name, schema));
  main.append(el("section", { "aria-labelledby": "schemas" }, el("h2", { id: "schemas" }, "Schemas"), schemas));
  contents.append(el("li", {}, el("a", { href: "#schemas" }, "Schemas")));
  document.getElementById("contents").append(contents);
}

function cardsOf(tag, links) {
  const cards = [];
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (!operation || operation.tags[0] !== tag) continue;
      cards.push(operationCard(method, path, operation));
      links.append(el("li", { "data-of": operation.operationId }, el("a", { href: "#" + operation.operationId }, operation.summary)));
    }
  }
  return cards;
}

// Open what the address names.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const node of document.querySelectorAll("details[data-words]")) {
    node.hidden = !words.every((word) => node.dataset.words.includes(word));
    count += !node.hidden;
  }
  for (const link of document.querySelectorAll("[data-of]")) {
    link.hidden = document.getElementById(link.dataset.of).hidden;
  }
  document.getElementById("found").textContent = words.length ? count + (count === 1 ? " operation" : " operations") : "";
}

async function start() {
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error("the server answered " + response.status);
    api = await response.json();
  } catch (error) {
    document.getElementById("state").textContent = "The document could not be loaded: " + error.message + ". Load the page again.";
    return;
  }
  show();
  document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
  window.addEventListener("hashchange", openTarget);
  openTarget();
}

start();
