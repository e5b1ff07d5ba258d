// Two backends, or two runs of one, side by side.

const runNames = () => core.backends.flatMap((one) => [one.name, ...one.runs.slice(0, -1).reverse().map((key) => `${one.name}@${key}`)]);

/** Return the name, figures and cells of a backend's newest run, or of an older one (NAME@KEY). */
async function runOf(chosen, matrix) {
  const name = backends.has(chosen) ? chosen : [...backends.keys()].find((one) => chosen?.startsWith(`${one}@`));
  if (name === undefined) return null;
  if (name === chosen) return { label: name, name, ...backends.get(name), cells: matrix.cells[name] };
  const data = await loadBackend(name);
  const run = data.history.find((one) => one.key === chosen.slice(name.length + 1));
  return run ? { label: `${name} ${run.version}`, name, ...run, cells: run.cells ?? matrix.cells[name] } : null;
}

/** Return the present name of a run: the newest one has its backend's name alone. */
function present(chosen) {
  const name = [...backends.keys()].find((one) => chosen === `${one}@${backends.get(one).runs.at(-1)}`);
  return name ?? chosen;
}

function compareForm(state) {
  const { specification = "" } = state;
  return make("form", { class: "filters", "aria-label": "Choose what to compare" },
    field("compare", "This", runNames(), state.compare, null), field("with", "with", runNames(), state.with, null),
    core.specifications.length > 1 && field("specification", "Specification", core.specifications.map((one) => one.name), specification),
    field("kind", "Kind", [...new Set(namesIn(1, specification))], state.kind), field("dtype", "Dtype", [...new Set(namesIn(2, specification))], state.dtype),
    make("span", { class: "buttons" }, make("button", { type: "button", id: "exchange" }, "Exchange")), make("output", { class: "found", "aria-live": "polite" }));
}

async function showCompare(state) {
  const matrix = await load("requirements");
  const all = runNames();
  const chosen = { ...state, compare: present(state.compare) ?? all[0], with: present(state.with) ?? all[1] ?? all[0] };
  const form = compareForm(chosen);
  const [one, other] = await Promise.all([runOf(chosen.compare, matrix), runOf(chosen.with, matrix)]);
  const head = [make("h1", {}, "Compare"), form];
  if (!one || !other) return [...head, make("p", {}, `This page has no run ${one ? chosen.with : chosen.compare}.`)];
  const specifications = Object.keys({ ...one.shares, ...other.shares }).filter((name) => !state.specification || name === state.specification);
  const groups = [
    [`${one.label} fulfils, ${other.label} departs`, (a, b) => b === "departs" && a === "fulfilled"],
    [`${one.label} departs, ${other.label} fulfils`, (a, b) => a === "departs" && b === "fulfilled"],
    ["Both depart", (a, b) => a === "departs" && b === "departs"],
    ["One departs, the other is blocked or does not claim it", (a, b) => (a === "departs") !== (b === "departs") && a !== "fulfilled" && b !== "fulfilled"],
    [`Only ${one.label} claims it`, (a, b) => a !== "departs" && b !== "departs" && a !== "unclaimed" && a !== "" && (b === "unclaimed" || b === "")],
    [`Only ${other.label} claims it`, (a, b) => b !== "departs" && a !== "departs" && b !== "unclaimed" && b !== "" && (a === "unclaimed" || a === "")],
  ].map(([title, belongs]) => ({ title, belongs, lines: [] }));
  let alike = 0;
  for (const id of new Set([...Object.keys(matrix.requirements), ...Object.keys(one.cells), ...Object.keys(other.cells)])) {
    const its = matrix.requirements[id]?.specification ?? core.specifications.find(({ name }) => subjectsOf(name).some((place) => [one.cells[id], other.cells[id]].some((cell) => (cell?.[place] ?? ".") !== ".")))?.name;
    if (!specifications.includes(its)) continue;
    const places = subjectsOf(its, state);
    const [a, b] = [one, other].map((run) => count(run.cells[id] ?? "", places));
    if (!total(a) && !total(b)) continue;
    const group = groups.find(({ belongs }) => belongs(stateOfShares(a), stateOfShares(b)));
    if (group) group.lines.push([id, a, b, its]);
    else alike += 1;
  }
  form.querySelector(".found").textContent = `${counted(groups.reduce((sum, { lines }) => sum + lines.length, 0), "requirement")} listed, ${number(alike)} fulfilled or left out by both`;
  const shares = (run, its) => (its in run.shares ? make("div", { class: "big" }, make("p", { class: "line" }, make("b", { class: "percent" }, percent(ofNumbers(run.shares[its]))), ` of ${number(claimed(ofNumbers(run.shares[its])))}: `, link(run.label, { backend: run.name, specification: its })),
    bar(ofNumbers(run.shares[its]), run.label), make("small", { class: "figures" }, figures(ofNumbers(run.shares[its])))) : make("p", { class: "note" }, `${run.label} has no run of ${its}.`));
  return [...head,
    specifications.map((its) => make("section", {}, make("h2", {}, its), shares(one, its), shares(other, its))),
    groups.map(({ title, lines }, place) => (lines.length ? make("details", { class: "changes", open: place < 2 },
      make("summary", {}, `${title}: ${counted(lines.length, "requirement")}`),
      table(title, ["Requirement", one.label, other.label], lines.map(([id, a, b]) => [
        [[link(id, { requirement: id }, { class: "id" }), make("small", {}, matrix.requirements[id]?.statement ?? "not in the present catalogue")], {}],
        ...[[a, one], [b, other]].map(([its, run]) => [total(its) ? link(sentence(its), { requirement: id, backend: run.name }) : "not in the report", { class: `l-${level(its)}` }])]))) : null))];
}
