// The matrix of requirements by backend, the page of one requirement, and the opening of one of its cells.

const STATUSES = [["departs", "departs"], ["fulfilled", "fulfilled"], ["blocked", "blocked"], ["unclaimed", "not claimed"], ["differs", "differs between backends"]];

/** Say by one word what a backend makes of a requirement. */
const stateOfShares = (shares) => (departures(shares) ? "departs" : shares.b ? "blocked" : shares.p ? "fulfilled" : shares.n ? "unclaimed" : "");

/** Return the backends that speak a specification, the one with the most departures first. */
function speakers(specification) {
  const departing = (one) => Object.entries(one.shares).reduce((sum, [name, numbers]) => sum + (specification === "" || specification === name ? departures(ofNumbers(numbers)) : 0), 0);
  return core.backends.filter((one) => specification === "" || specification in one.shares)
    .sort((a, b) => departing(b) - departing(a) || a.name.localeCompare(b.name)).map((one) => one.name);
}

function field(name, label, values, chosen, all = "all") {
  const select = make("select", { name }, all === null ? null : make("option", { value: "" }, all),
    values.map((value) => (Array.isArray(value) ? make("option", { value: value[0] }, value[1]) : make("option", {}, value))));
  select.value = chosen ?? "";
  if (select.selectedIndex < 0) select.selectedIndex = 0;
  return make("label", {}, label, " ", select);
}

const search = (chosen, placeholder) => make("label", { class: "wide" }, "Search ",
  make("input", { type: "search", name: "text", value: chosen ?? "", placeholder, autocomplete: "off", spellcheck: "false" }));

const areasOf = (specification) => core.specifications.flatMap((one) => (specification === "" || one.name === specification ? one.areas : []));

function requirementsForm(state) {
  const { specification = "" } = state;
  return make("form", { class: "filters", role: "search", "aria-label": "Filter the requirements" },
    search(state.text, "id, statement, source, fault"),
    core.specifications.length > 1 && field("specification", "Specification", core.specifications.map((one) => one.name), specification),
    field("area", "Area", [...new Set(areasOf(specification))], state.area),
    field("status", "Status", STATUSES, state.status),
    field("kind", "Kind", [...new Set(namesIn(1, specification))], state.kind),
    field("dtype", "Dtype", [...new Set(namesIn(2, specification))], state.dtype),
    field("only", "Backend", speakers(specification), state.only),
    field("sort", "Sort by", [["departures", "departures"], ["id", "id"]], state.sort, "catalogue"),
    make("span", { class: "buttons" }, make("button", { type: "reset" }, "Clear")),
    make("output", { class: "found", "aria-live": "polite" }));
}

/** Return what a cell of the matrix shows: a sign where all is alike, otherwise the share. */
function cellOf(shares, label, state) {
  if (!total(shares)) return make("td", { class: "absent" }, make("span", { class: "hidden" }, "not put to it"));
  const shown = departures(shares) || shares.b ? shortPercent(shares) : shares.p ? "✓" : "–";
  return make("td", { class: `l-${level(shares)}`, "data-name": label.backend, "data-state": stateOfShares(shares) },
    make("a", { href: at(state), "aria-label": `${label.row}, ${label.backend}: ${sentence(shares)}` }, make("span", { class: "on", "aria-hidden": "true" }, `${label.backend} `), shown));
}

/** Count how many backends are alike, in words: those that a narrow screen leaves out. */
function others(list) {
  const fulfil = list.filter((shares) => stateOfShares(shares) === "fulfilled").length;
  const claim = list.filter((shares) => stateOfShares(shares) === "unclaimed").length;
  return [fulfil && `${number(fulfil)} ${fulfil === 1 ? "fulfils" : "fulfil"} it`, claim && `${number(claim)} ${claim === 1 ? "does" : "do"} not claim it`].filter(Boolean).join(", ");
}

function matrixTable(label, names, rows) {
  return make("table", { class: "matrix" }, make("caption", { class: "hidden" }, label),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Requirement"),
      names.map((name) => make("th", { scope: "col" }, link(name, { backend: name }))))),
    make("tbody", {}, rows));
}

async function showRequirements(state) {
  const matrix = await load("requirements");
  const { specification = "", area = "", status = "", kind = "", dtype = "", only = "", text = "", sort = "" } = state;
  const form = requirementsForm(state);
  const names = speakers(specification).filter((name) => only === "" || name === only);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const narrow = area !== "" || status !== "" || words.length > 0;
  const lines = requirementsOf(matrix, { specification, area }).map(([id, one]) => {
    const places = subjectsOf(one.specification, { kind, dtype });
    const shares = names.map((name) => count(matrix.cells[name][id] ?? "", places));
    return { id, one, shares, departs: shares.reduce((sum, its) => sum + departures(its), 0) };
  }).filter(({ id, one, shares }) => {
    const found = shares.map(stateOfShares);
    if (!found.some(Boolean)) return false;
    if (status === "differs" ? new Set(found.filter(Boolean)).size < 2 : status !== "" && !found.includes(status)) return false;
    const all = [id, one.statement, one.source, one.ruling, ...one.faults.flat()].join(" ").toLowerCase();
    return words.every((word) => all.includes(word));
  });
  if (sort === "departures") lines.sort((a, b) => b.departs - a.departs || a.id.localeCompare(b.id));
  if (sort === "id") lines.sort((a, b) => a.id.localeCompare(b.id));
  const used = names.filter((_, place) => lines.some(({ shares }) => total(shares[place])));
  const kept = used.map((name) => names.indexOf(name));
  const rows = narrow
    ? lines.map(({ id, one, shares }) => make("tr", { id: `r-${id}` },
      make("th", { scope: "row" }, link(id, { requirement: id }, { class: "id" }), make("small", {}, one.statement), make("small", { class: "others" }, others(shares))),
      kept.map((place) => cellOf(shares[place], { row: id, backend: names[place] }, { requirement: id, backend: names[place], kind, dtype }))))
    : areaRows(lines, kept, names, { kind, dtype });
  form.querySelector(".found").textContent = narrow ? counted(lines.length, "requirement") : `${counted(lines.length, "requirement")} in ${counted(rows.length, "area")}`;
  const title = area ? `${area[0].toUpperCase()}${area.slice(1)}${specification ? ` of ${specification}` : ""}` : "Requirements by backend";
  return [make("h1", {}, title),
    make("p", { class: "note" }, "✓ every statement fulfilled, – not claimed; a number is the fulfilled part of what is claimed, in percent. A cell opens to its kinds and dtypes."),
    form, rows.length ? matrixTable(title, used, rows) : make("p", {}, "Nothing matches.")];
}

/** Return a row for each area, folded: its cells are shares, and it opens by its name. */
function areaRows(lines, kept, names, chosen) {
  const groups = new Map();
  for (const line of lines) {
    const key = `${line.one.specification}\n${line.one.area}`;
    groups.set(key, [...(groups.get(key) ?? []), line]);
  }
  return [...groups.values()].map((those) => {
    const { specification, area } = those[0].one;
    const sums = kept.map((place) => those.reduce((sum, { shares }) => Object.fromEntries(Object.entries(sum).map(([letter, value]) => [letter, value + shares[place][letter]])), count("", [])));
    return make("tr", { class: "area" },
      make("th", { scope: "row" }, link(area, { area, specification, ...chosen }), make("small", {}, `${specification}, ${counted(those.length, "requirement")}`), make("small", { class: "others" }, others(sums))),
      sums.map((shares, place) => cellOf(shares, { row: area, backend: names[kept[place]] }, { backend: names[kept[place]], area, specification, ...chosen })));
  });
}

// One requirement

function documented(one) {
  if (/^https?:\/\//.test(one.source)) return outside(one.source, one.source);
  return [one.source, one.documented.length ? make("small", { class: "pages" }, "pages: ", one.documented.flatMap(([name, address], place) => [place ? ", " : "", outside(name, address)])) : null];
}

/** Make a table of kinds by dtypes; `cell` returns the content and class of a subject's place, or null. */
function grid(label, places, cell) {
  const kinds = [...new Set(places.map((place) => core.subjects[place][1]))];
  const dtypes = [...new Set(places.map((place) => core.subjects[place][2]))];
  return make("div", { class: "scroll fit", role: "region", "aria-label": label, tabindex: "0" }, make("table", { class: "grid" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Kind"), dtypes.map((dtype) => make("th", { scope: "col" }, dtype)))),
    make("tbody", {}, kinds.map((kind) => make("tr", {}, make("th", { scope: "row" }, kind), dtypes.map((dtype) => {
      const place = places.find((one) => core.subjects[one][1] === kind && core.subjects[one][2] === dtype);
      const found = place === undefined ? null : cell(place);
      return found ? make("td", { class: found.class }, found.content) : make("td", { class: "absent" }, make("span", { class: "hidden" }, "not put to it"));
    }))))));
}

const where = (letters, places, wanted) => places.filter((place) => wanted.includes(letters[place])).map((place) => `${core.subjects[place][1]} ${core.subjects[place][2]}`).join(", ");

async function showRequirement(state) {
  const matrix = await load("requirements");
  const id = state.requirement;
  const one = matrix.requirements[id];
  if (!one) return [make("h1", {}, id), make("p", {}, "No report on this page has a requirement of that name.")];
  const places = subjectsOf(one.specification, state);
  const builders = Object.entries(matrix.requirements).filter(([, other]) => other.builds.includes(id)).map(([other]) => other);
  const links = (ids) => ids.flatMap((other, place) => [place ? ", " : "", other in matrix.requirements ? link(other, { requirement: other }) : other]);
  const facts = [["Area", link(one.area, { area: one.area, specification: one.specification })], ["Specification", one.specification], ["Source", documented(one)],
    one.ruling && ["Ruling", one.ruling], one.builds.length && ["Builds on", links(one.builds)], builders.length && ["Needed by", links(builders)]].filter(Boolean);
  const by = core.backends.map(({ name }) => ({ name, letters: matrix.cells[name][id] ?? "", shares: count(matrix.cells[name][id] ?? "", places) })).filter(({ shares }) => total(shares));
  by.sort((a, b) => departures(b.shares) - departures(a.shares) || b.shares.b - a.shares.b || b.shares.p - a.shares.p || a.name.localeCompare(b.name));
  const fulfil = by.filter(({ shares }) => stateOfShares(shares) === "fulfilled").length;
  const opened = state.backend && backends.has(state.backend) ? await openCell(state, one, matrix.cells[state.backend][id] ?? "") : [];
  return [
    make("p", { class: "crumbs" }, link("Requirements", { view: "requirements" }), " / ", link(one.area, { area: one.area, specification: one.specification })),
    make("h1", {}, make("code", {}, id)), make("p", { class: "lead" }, one.statement), opened,
    make("h2", {}, "What it is"),
    make("dl", { class: "facts" }, facts.flatMap(([name, told]) => [make("dt", {}, name), make("dd", {}, told)])),
    make("h2", {}, `Who fulfils it: ${fulfil} of ${by.length}`),
    table("By backend", ["Backend", "Statements", "Departs in", "Blocked in"], by.map(({ name, letters, shares }) => [
      link(name, { requirement: id, backend: name }), [`${sentence(shares)}`, { class: `l-${level(shares)}` }], where(letters, places, "fk") || "–", where(letters, places, "b") || "–"])),
    make("h2", {}, "The faults it catches"),
    one.faults.length ? make("ul", {}, one.faults.map(([fault, explanation, who]) => make("li", {}, make("code", {}, fault), `: ${explanation}`, who ? make("small", {}, ` (${who})`) : null)))
      : make("p", {}, "No fault of the bank is named by this requirement alone."),
  ];
}

/** Return what is known about one requirement on one backend: by kind and dtype, then the messages. */
async function openCell(state, one, letters) {
  const name = state.backend;
  const data = await loadBackend(name);
  const chosen = subjectsOf(one.specification, state);
  const rows = (data.rows[state.requirement] ?? []).filter(([place]) => chosen.includes(place));
  const status = (place) => core.letters[letters[place]];
  const byPlace = new Map(rows.map((row) => [row[0], row]));
  const left = (data.rows[state.requirement] ?? []).length - rows.length;
  return make("section", { class: "opened", "aria-labelledby": "opened-title" },
    make("h2", { id: "opened-title" }, "On ", link(name, { backend: name, specification: one.specification })),
    rows.length ? grid("By kind and dtype", rows.map(([place]) => place), (place) => {
      const [, examples, error] = byPlace.get(place);
      return { class: `c-${status(place)}`, content: [said(status(place)), make("small", {}, [examples ? counted(examples, "example") : "", error === null ? "" : `margin ${margin(error)}`].filter(Boolean).join(", "))] };
    }) : make("p", {}, "The report has no row of it."),
    left ? make("p", { class: "note" }, `${left} more kinds and dtypes are filtered out. `, link("All of them", { requirement: state.requirement, backend: name })) : null,
    messages(rows, data, status));
}

/** List message, diagnosis and reproducer of rows; equal ones appear once. */
function messages(rows, data, status) {
  const groups = new Map();
  for (const row of rows) {
    const [place, , , text = 0, faults = [], reproducer = 0] = row;
    if (!text && !faults.length && !reproducer) continue;
    const key = JSON.stringify([status(place), text, faults, reproducer]);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((those) => {
    const [place, , , text = 0, faults = [], reproducer = 0] = those[0];
    const which = those.map(([one]) => `${core.subjects[one][1]} ${core.subjects[one][2]}`).join(", ");
    return [
      make("h3", {}, said(status(place)), `: ${which}`),
      faults.length ? make("p", {}, make("strong", {}, "Diagnosis: "), "these are the numbers of ", faults.flatMap((fault, n) => [n ? "; or of " : "", data.faults[fault][1], " (", make("code", {}, data.faults[fault][0]), ")"])) : null,
      text ? make("pre", {}, data.texts[text]) : null,
      reproducer ? make("p", {}, make("strong", {}, "Reproducer: "), make("code", {}, data.texts[reproducer])) : null,
    ];
  });
}
