// The state of the page is its address: show what it says, and write into it what a form says.

const showView = (state) => (state.view === "compare" ? showCompare(state) : showRequirements(state));
const VIEWS = { requirement: showRequirement, finding: showFinding, compare: showCompare, backend: showBackend, area: showRequirements, view: showView };
let shownTurn = 0;
let last = "";

/** Show a documented finding: its paragraphs, its scripts, and addresses of public issues. */
async function showFinding(state) {
  const found = (await load("findings"))[state.finding];
  if (!found) return [make("h1", {}, state.finding), make("p", {}, "This page has no finding of that name.")];
  const inline = (text) => text.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]*\]\([^)\s]+\)|<?https?:\/\/[^\s<>)]+>?)/).map((part) => {
    const named = /^\[([^\]]*)\]\(([^)\s]+)\)$/.exec(part);
    if (named) return /^https?:/.test(named[2]) ? outside(named[1], named[2]) : named[1];
    if (/^<?https?:/.test(part)) return outside(part.replace(/^<|>$/g, ""), part.replace(/^<|>$/g, ""));
    if (part.startsWith("`")) return /^`[A-Z][A-Z0-9]*(-[A-Z0-9]+)+`$/.test(part) ? link(part.slice(1, -1), { requirement: part.slice(1, -1) }) : make("code", {}, part.slice(1, -1));
    return part.startsWith("**") ? make("strong", {}, part.slice(2, -2)) : part;
  });
  const paragraphs = (text) => text.replace(/^#+ +/gm, "").split(/\n\s*\n|\n(?=- )/).map((one) => one.replace(/^- /, "").replace(/\s*\n\s*/g, " ").trim()).filter(Boolean);
  const parts = found.text.split(/^```+\w*\n([\s\S]*?)\n```+$/m).map((text, place) => (place % 2 ? make("pre", { tabindex: "0" }, text) : paragraphs(text).map((one) => make("p", {}, inline(one)))));
  const [document, page] = found.document;
  const scripts = found.scripts.flatMap(([name, address], place) => [place ? ", " : "", address ? outside(name, address) : make("code", {}, name)]);
  return [make("p", { class: "crumbs" }, link("Backends", {})), make("h1", {}, found.title), parts, make("p", {}, "Scripts: ", scripts, page ? [". Page: ", outside(document, page)] : null)];
}

/** Keep the field that is being used, and whatever is typed into it, in the form that takes its place. */
function keepForm(children) {
  const field = document.activeElement;
  const name = view.contains(field) && field.closest("form.filters") ? field.name : "";
  const form = children.find((child) => child instanceof Element && child.matches("form.filters"));
  const old = view.querySelector("form.filters");
  if (!name || !form || !form.elements[name]) return null;
  for (const label of [...old.children]) {
    const inside = label.querySelector("select, input");
    const other = inside ? form.elements[inside.name]?.closest("label") : [...form.children].find((one) => one.className === label.className);
    if (inside !== field) label.replaceWith(other ?? "");
  }
  children[children.indexOf(form)] = old;
  return old;
}

/** Put children before and after an element of the view that stays where it is. */
function around(element, children) {
  for (const child of [...view.childNodes]) if (child !== element) child.remove();
  const place = children.indexOf(element);
  element.before(...children.slice(0, place));
  element.after(...children.slice(place + 1));
}

/** Put a state into the fields of a form. */
function fill(form, state) {
  for (const name of ["kind", "dtype"]) offer(form.elements[name], namesIn(name === "kind" ? 1 : 2, state.specification ?? ""));
  for (const input of form.querySelectorAll("select, input")) {
    const value = state[input.name] ?? "";
    if (input !== document.activeElement || input.tagName === "SELECT") input.value = value;
    if (input.tagName === "SELECT" && input.selectedIndex < 0) input.selectedIndex = 0;
  }
}

/** Show the state of the address. */
async function show() {
  const turn = (shownTurn += 1);
  const state = stateOf(location.hash);
  const name = Object.keys(VIEWS).find((one) => one in state);
  document.body.setAttribute("aria-busy", "true");
  document.body.dataset.address = location.hash;
  try {
    if (name === undefined) {
      await showFront(state);
      if (turn !== shownTurn) return;
      view.replaceChildren();
    } else {
      const content = await VIEWS[name](state);
      if (turn !== shownTurn) return;
      const children = content.flat(9).filter((child) => child instanceof Node || (typeof child === "string" && child));
      const form = viewKey(state) === last ? keepForm(children) : null;
      if (form) around(form, children);
      else view.replaceChildren(...children);
    }
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    if (turn !== shownTurn) return;
    view.replaceChildren(make("h1", {}, "A file of the page is missing"),
      make("p", {}, `data/${error.message}.js cannot be loaded. It belongs beside the page: keep the page's folder together.`), make("p", {}, link("All backends", {})));
    front.hidden = true;
    view.hidden = false;
    document.body.removeAttribute("aria-busy");
    return;
  }
  front.hidden = name !== undefined;
  view.hidden = name === undefined;
  const heading = view.querySelector("h1");
  document.title = heading ? `${heading.textContent} · ${TITLE}` : TITLE;
  document.body.removeAttribute("aria-busy");
  const moved = viewKey(state) !== last;
  last = viewKey(state);
  if (moved && (name !== undefined || turn > 1)) {
    window.scrollTo(0, 0);
    document.getElementById("content").focus({ preventScroll: true });
  }
  const part = state.part && document.getElementById(`part-${state.part}`);
  if (part) part.focus();
}

/** Return what makes a state another page and not the same one narrowed. */
const viewKey = (state) => ["requirement", "finding", "compare", "with", "backend", "area", "view"].map((name) => state[name] ?? "").join("\n");

/** Write a form's fields into the address; what the form does not have stays. */
function changed(form) {
  const state = stateOf(location.hash);
  for (const [name, value] of new FormData(form)) state[name] = value;
  const own = form === frontForm ? state : { ...(Object.keys(VIEWS).some((name) => state[name]) ? {} : { view: "requirements" }), ...state };
  history.replaceState(null, "", at(own) === "#" ? location.pathname + location.search : at(own));
  show();
}

for (const kind of ["input", "change"]) {
  document.addEventListener(kind, (event) => { const form = event.target.closest?.("form.filters"); if (form) changed(form); });
}
document.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("reset", (event) => {
  event.preventDefault();
  const form = event.target;
  for (const input of form.querySelectorAll("select, input")) input.value = "";
  changed(form);
});
document.addEventListener("click", (event) => {
  if (event.target.id === "skip") {
    event.preventDefault();
    document.getElementById("content").focus();
  }
  if (event.target.id === "exchange") {
    const state = stateOf(location.hash);
    const form = event.target.closest("form");
    location.hash = at({ ...state, compare: form.elements.with.value, with: form.elements.compare.value });
  }
});
window.addEventListener("hashchange", show);
for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
openAreas();
const narrowed = ["sort", "kind", "dtype", "text", "specification"].some((name) => name in stateOf(location.hash));
document.querySelector(".controls").open = narrowed || matchMedia("(min-width: 48rem)").matches;
show();
