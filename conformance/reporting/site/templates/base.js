// What every view uses: elements, the state in the address, files of data.

const core = JSON.parse(document.getElementById("core").textContent);
const backends = new Map(core.backends.map((one) => [one.name, one]));
const view = document.getElementById("view");
const front = document.getElementById("front");
const TITLE = document.title;

/** Make an element with attributes and children; text is never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Return the address of a state; empty values are left out. */
function at(state) {
  const said = Object.entries(state).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return `#${said.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;
}

const link = (text, state, attributes = {}) => make("a", { href: at(state), ...attributes }, text);
const outside = (text, address) => make("a", { href: address, rel: "noreferrer" }, text);

/** Read the state from the address. The form #REQUIREMENT/BACKEND is that of earlier pages. */
function stateOf(hash) {
  const text = hash.replace(/^#/, "");
  const decode = (part) => { try { return decodeURIComponent(part); } catch { return part; } };
  const old = /^([A-Z][A-Z0-9-]*)\/(.+)$/.exec(decode(text));
  if (old) return { requirement: old[1], backend: old[2] };
  const pairs = text.split("&").filter((part) => part.includes("="));
  return Object.fromEntries(pairs.map((part) => [part.slice(0, part.indexOf("=")), decode(part.slice(part.indexOf("=") + 1))]));
}

/** A file of data that cannot be loaded. */
class Missing extends Error {}

// A file of data is a script that calls this; the page asks for each file once.
const received = {};
const asked = {};
window.conformanceData = (name, value) => { received[name] = value; };

/** Load a file of data from the folder beside the page. */
function load(name) {
  asked[name] ??= new Promise((resolve, reject) => {
    const script = make("script", { src: `data/${encodeURIComponent(name)}.js` });
    script.addEventListener("load", () => (name in received ? resolve(received[name]) : reject(new Missing(name))));
    script.addEventListener("error", () => { delete asked[name]; reject(new Missing(name)); });
    document.head.append(script);
  });
  return asked[name];
}

const loadBackend = (name) => load(backends.get(name).file);

// Words and numbers

const number = (value) => value.toLocaleString("en");
const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
const WORDS = { failed: "failed", blocked: "blocked", known_failure: "known failure", passed: "passed", not_claimed: "not claimed" };
const MARKS = { failed: "✗", blocked: "◌", known_failure: "△", passed: "✓", not_claimed: "–" };
const MEANINGS = {
  failed: "departs from the documentation",
  blocked: "fails for the same cause as an earlier failure, or was not run because of it",
  known_failure: "departs; a file of known failures gives reason and issue",
  passed: "every example passed",
  not_claimed: "the backend does not claim what is needed",
};
const DEPARTS = ["failed", "known_failure"];

function margin(value) {
  if (value === null || value === undefined) return "–";
  if (value > 1e300) return "infinite";
  if (value < 10) return `${Math.round(100 * value)}%`;
  return value < 100 ? `${Math.round(value)} x` : `${value.toExponential(1).replace(/\+(\d)$/, "+0$1")} x`;
}

const said = (status) => make("span", { class: `s-${status}` }, make("span", { class: "mark", "aria-hidden": "true" }, MARKS[status]), ` ${WORDS[status]}`);

/** Make a table of rows of cells; a cell is a child, or [child, attributes]. The first cell heads its row. */
function table(label, heads, rows, attributes = {}) {
  const cell = (content, place) => {
    const [child, more] = Array.isArray(content) && content.length === 2 && content[1]?.constructor === Object ? content : [content, {}];
    const head = typeof heads[place] === "string" ? heads[place] : heads[place][0];
    return make(place ? "td" : "th", place ? { "data-head": head, ...more } : { scope: "row", ...more }, child);
  };
  return make("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" },
    make("table", { class: "plain", ...attributes },
      make("thead", {}, make("tr", {}, heads.map((head) => (typeof head === "string" ? make("th", { scope: "col" }, head) : make("th", { scope: "col", ...head[1] }, head[0]))))),
      make("tbody", {}, rows.map((row) => make("tr", {}, row.map(cell))))));
}

const NUMBER = { class: "number" };

/** Draw the text of a picture, an svg element that the suite made. */
function picture(text, label) {
  const svg = new DOMParser().parseFromString(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '), "image/svg+xml").documentElement;
  return make("div", { class: "picture", role: "img", "aria-label": label }, document.importNode(svg, true));
}
