// The page of one backend: departures, areas, claims, margins, history; and the opening of one of its areas.

const issueLink = (address) => outside(address.replace(/^https:\/\/github\.com\//, "").replace(/\/(?:issues|pull)\//, "#"), address);

/** Return the links of a cause: finding, script, upstream issues. */
const leads = (cause) => [
  cause.finding ? link("finding", { finding: cause.finding }) : null,
  cause.scriptLink ? outside("script", cause.scriptLink) : cause.script ? make("code", {}, cause.script) : null,
  ...cause.issues.map(issueLink),
  cause.status === "known_failure" && !cause.issues.length ? "no public issue known" : null,
  ...cause.related.map((address) => ["related: ", issueLink(address)]),
].filter(Boolean).flatMap((one, place) => (place ? [", ", one] : [one]));

function requirementLinks(ids, backend, most = 8) {
  const shown = ids.slice(0, most).flatMap((id, place) => [place ? ", " : "", link(id, { requirement: id, backend }, { class: "id" })]);
  if (ids.length <= most) return shown;
  return make("details", {}, make("summary", {}, `${counted(ids.length, "requirement")}: ${ids[0]}, …`), ids.flatMap((id, place) => [place ? ", " : "", link(id, { requirement: id, backend }, { class: "id" })]));
}

function causesTable(name, causes) {
  if (!causes.length) return make("p", {}, "No check found a departure.");
  return make("ol", { class: "all-causes" }, causes.map((cause) => make("li", {},
    make("p", {}, make("strong", { class: `s-${cause.status}` }, cause.words)),
    make("p", { class: "note" }, `${counted(cause.statements, "statement")}, ${WORDS[cause.status]}`, leads(cause).length ? [": ", leads(cause)] : null),
    make("p", { class: "ids" }, requirementLinks(cause.requirements, name)))));
}

const bars = (name, shares) => Object.entries(shares).map(([specification, numbers]) => {
  const its = ofNumbers(numbers);
  return make("div", { class: "big" }, make("p", { class: "line" }, make("b", { class: "percent" }, percent(its)), ` of ${number(claimed(its))} in ${specification}`),
    bar(its, `${name}, ${specification}`), make("small", { class: "figures" }, figures(its)));
});

const settings = (run) => [["Version", run.version], ["Date", run.date || "not recorded"], ["Suite", `${run.suite}, catalogue ${run.catalogue || "unnumbered"}`],
  ["Run", `${run.profile}, ${counted(run.examples, "example")}, seed ${run.seed}${run.complete ? "" : ", not complete"}`], ["Machine", run.machine || "not recorded"]];

/** List the claims of a backend, true and false ones apart. */
function claimsList(claims) {
  return Object.entries(claims).map(([specification, features]) => {
    const words = (value) => (Array.isArray(value) ? value.join(", ") || "none" : value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));
    const flags = Object.entries(features).filter(([, value]) => typeof value === "boolean");
    const rest = Object.entries(features).filter(([, value]) => typeof value !== "boolean" && value !== null);
    const named = (wanted) => flags.filter(([, value]) => value === wanted).map(([name]) => name.replaceAll("_", " ")).join(", ") || "nothing";
    return [make("h3", {}, specification), make("dl", { class: "facts" }, [["Claims", named(true)], ["Does not claim", named(false)],
      ...rest.map(([name, value]) => [name.replaceAll("_", " "), words(value)])].flatMap(([name, told]) => [make("dt", {}, name), make("dd", {}, told)]))];
  });
}

function marginsPart(name, { margins, steps }) {
  if (!margins.rows.length) return make("p", {}, "No requirement compared numbers.");
  const rows = margins.rows.map(([kind, dtype, compared, middle, largest, id]) => [`${kind} ${dtype}`, [number(compared), NUMBER], [middle, NUMBER], [largest, NUMBER], link(id, { requirement: id, backend: name })]);
  return [
    make("p", { class: "note" }, "How close the backend comes to its tolerance. A stroke is the largest error that a requirement saw, as a part of what rounding was allowed there; the dot is the largest of a kind and dtype; a triangle lies beyond the tolerance. Infinite: an error where none is allowed."),
    make("div", { class: "beside" }, picture(margins.picture, `Margins of ${name}; the table has the numbers`),
      table(`Margins of ${name}`, ["Kind, dtype", ["Compared", NUMBER], ["Median", NUMBER], ["Largest", NUMBER], "Seen by"], rows)),
    steps.rows.length ? [make("h3", {}, "Error along the time steps"), make("div", { class: "beside" }, picture(steps.picture, `Margins of ${name} by time step; the table has the numbers`),
      table(`Steps of ${name}`, ["Kind, dtype", ["Steps", NUMBER], ["First", NUMBER], ["Last", NUMBER], ["Largest", NUMBER], "Seen by"],
        steps.rows.map(([kind, dtype, id, count, first, last, most]) => [`${kind} ${dtype}`, [number(count), NUMBER], [first, NUMBER], [last, NUMBER], [most, NUMBER], link(id, { requirement: id, backend: name })])))] : null,
  ];
}

const runName = (name, run, place, all) => (place === all.length - 1 ? name : `${name}@${run.key}`);

function historyPart(name, history) {
  const rows = [...history].map((run, place) => ({ run, place })).reverse().map(({ run, place }) => [
    run.version, run.date || "–", `${run.suite}, ${run.catalogue || "–"}`, Object.entries(run.shares).map(([specification, numbers]) => make("div", {}, `${specification}: ${shareText(ofNumbers(numbers))}`)),
    [Object.values(run.shares).reduce((sum, numbers) => sum + departures(ofNumbers(numbers)), 0).toLocaleString("en"), NUMBER],
    place < history.length - 1 ? link("compare with the newest", { compare: `${name}@${run.key}`, with: name }) : "newest"]);
  const parts = [...history].reverse().filter((run) => run.changes).map((run) => {
    const before = history[history.indexOf(run) - 1];
    return [make("h3", {}, `From ${before.version} (catalogue ${before.catalogue || "unnumbered"}) to ${run.version} (catalogue ${run.catalogue || "unnumbered"})`),
      run.changes.caution ? make("p", { class: "note" }, run.changes.caution) : null,
      run.changes.parts.length ? run.changes.parts.map(([title, changes]) => make("details", { class: "changes", open: title === "Worse" && changes.length <= 20 },
        make("summary", {}, `${title}: ${counted(new Set(changes.map(([id]) => id)).size, "requirement")}`),
        table(title, ["Requirement", "Before", "After", "Where"], changes.map(([id, was, now, which]) => [link(id, { requirement: id, backend: name }, { class: "id" }), was, now, which.join(", ")])))) : make("p", {}, "Nothing changed.")];
  });
  return [table(`Runs of ${name}`, ["Version", "Date", "Suite, catalogue", "Fulfilled", ["Departures", NUMBER], "Compare"], rows), parts.length ? parts : make("p", { class: "note" }, "One report is kept so far.")];
}

/** Return the areas of a backend as a table of shares. */
function areasPart(name, specification, matrix, state) {
  const { areas } = sharesFor(matrix, name, specification, state);
  const shown = Object.entries(areas).filter(([, shares]) => total(shares));
  return table(`Areas of ${specification}`, ["Area", ["Fulfilled", NUMBER], ["Departs", NUMBER], ["Blocked", NUMBER], ["Not claimed", NUMBER], "Share"], shown.map(([area, shares]) => [
    link(area, { backend: name, area, specification }), ...["p", "f", "b", "n"].map((letter) => [number(letter === "f" ? departures(shares) : shares[letter]), NUMBER]),
    [make("a", { href: at({ backend: name, area, specification }), "aria-label": `${area}: ${sentence(shares)}` }, shareText(shares)), { class: `l-${level(shares)}` }]]));
}

async function showBackend(state) {
  const name = state.backend;
  if (!backends.has(name)) return [make("h1", {}, name), make("p", {}, "This page has no backend of that name. ", link("All backends", {}))];
  if (state.area) return showArea(state);
  const [data, matrix] = await Promise.all([loadBackend(name), load("requirements")]);
  const run = data.history.at(-1);
  const chosen = state.specification && state.specification in run.shares ? [state.specification] : Object.keys(run.shares);
  const others = Object.keys(run.shares).filter((one) => !chosen.includes(one));
  const parts = ["departures", "areas", "margins", "claims", "history"];
  const heading = (part, text) => make("h2", { id: `part-${part}`, tabindex: "-1" }, text);
  return [
    make("p", { class: "crumbs" }, link("Backends", {})), make("h1", {}, name),
    make("p", { class: "note" }, parts.flatMap((part, place) => [place ? " · " : "", link(part, { ...state, part })]), " · ", link("compare", { compare: name, with: core.backends.find((one) => one.name !== name)?.name })),
    bars(name, Object.fromEntries(chosen.map((one) => [one, run.shares[one]]))),
    data.judged.map((sentence) => make("p", { class: "note" }, `${sentence}.`)),
    others.length ? make("p", {}, "Also judged by ", others.map((one) => link(one, { backend: name, specification: one })), ".") : null,
    make("dl", { class: "facts" }, [...settings(run), ["The gate says", backends.get(name).verdict]].flatMap(([label, told]) => [make("dt", {}, label), make("dd", {}, told)])),
    heading("departures", `Departures: ${counted(chosen.reduce((sum, one) => sum + departures(ofNumbers(run.shares[one])), 0), "statement")}, ${counted(data.departures.filter((cause) => chosen.includes(cause.specification)).length, "cause")}`),
    causesTable(name, data.departures.filter((cause) => chosen.includes(cause.specification))),
    heading("areas", "Areas"), chosen.map((one) => [chosen.length > 1 ? make("h3", {}, one) : null, areasPart(name, one, matrix, {})]),
    heading("margins", "Margins"), marginsPart(name, data),
    heading("claims", "Claims"), claimsList(data.claims),
    heading("history", "History"), historyPart(name, data.history),
  ];
}

/** Show one area of one backend: shares by kind and dtype, then its requirements. */
async function showArea(state) {
  const { backend: name, area } = state;
  const [data, matrix] = await Promise.all([loadBackend(name), load("requirements")]);
  const its = core.specifications.filter((one) => one.areas.includes(area)).map((one) => one.name);
  const specification = its.includes(state.specification) ? state.specification : its.find((one) => one in backends.get(name).shares) ?? its[0];
  const lines = specification === undefined ? [] : requirementsOf(matrix, { specification, area });
  const letters = ([id]) => matrix.cells[name][id] ?? "";
  const all = specification === undefined ? [] : subjectsOf(specification).filter((place) => lines.some((line) => (letters(line)[place] ?? ".") !== "."));
  const places = subjectsOf(specification, state);
  const rows = lines.map(([id, one]) => ({ id, one, letters: letters([id]), shares: count(letters([id]), places) })).filter(({ shares }) => total(shares));
  rows.sort((a, b) => departures(b.shares) + b.shares.b - departures(a.shares) - a.shares.b);
  const sum = lines.reduce((shares, line) => count(letters(line), places, shares), count("", []));
  const worst = (id) => Math.max(-1, ...(data.rows[id] ?? []).filter(([place]) => places.includes(place)).map((row) => row[2] ?? -1));
  const narrowed = state.kind || state.dtype;
  return [
    make("p", { class: "crumbs" }, link("Backends", {}), " / ", link(name, { backend: name, specification })),
    make("h1", {}, `${name}: ${area}`), make("p", { class: "lead" }, `${sentence(sum)}${narrowed ? ` in ${[state.kind, state.dtype].filter(Boolean).join(" ")}` : ""}.`),
    all.length ? grid(`${area} by kind and dtype`, all, (place) => {
      const shares = lines.reduce((found, line) => count(letters(line), [place], found), count("", []));
      const [, kind, dtype] = core.subjects[place];
      return { class: `l-${level(shares)}`, content: make("a", { href: at({ backend: name, area, specification, kind, dtype }), "aria-label": `${kind} ${dtype}: ${sentence(shares)}` }, claimed(shares) ? [make("b", {}, shortPercent(shares)), make("small", {}, ` of ${number(claimed(shares))}`)] : "–") };
    }) : make("p", {}, "The report has no statement of it."),
    narrowed ? make("p", {}, link("All kinds and dtypes", { backend: name, area, specification })) : null,
    make("h2", {}, counted(rows.length, "requirement")),
    table("Requirements", ["Requirement", "Share", "Departs in", ["Largest margin", NUMBER]], rows.map(({ id, one, letters: its, shares }) => [
      [[link(id, { requirement: id, backend: name, kind: state.kind, dtype: state.dtype }, { class: "id" }), make("small", {}, one.statement)], {}],
      [shareText(shares), { class: `l-${level(shares)}` }], where(its, places, "fk") || (shares.b ? "blocked" : "–"), [margin(worst(id) < 0 ? null : worst(id)), NUMBER]])),
    make("p", {}, link(`${area} of all backends`, { area, specification })),
  ];
}
