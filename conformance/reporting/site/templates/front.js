// The first screen: sorting, filtering, counting anew for a kind or dtype, arrow keys.

const frontForm = document.querySelector("form[data-for=front]");

/** Put choices into a select, after its first option. */
function offer(select, values) {
  while (select.options.length > 1) select.remove(1);
  for (const value of new Set(values)) select.add(new Option(value));
}

const namesIn = (place, specification) => core.subjects.filter(([name]) => specification === "" || name === specification).map((subject) => subject[place]);

/** Return the shares of a backend, of all areas and of each, for a kind and dtype. */
function sharesFor(matrix, name, specification, state) {
  const places = subjectsOf(specification, state);
  const all = count("", []);
  const areas = {};
  for (const [id, one] of requirementsOf(matrix, { specification })) {
    const letters = matrix.cells[name][id] ?? "";
    count(letters, places, all);
    areas[one.area] = count(letters, places, areas[one.area]);
  }
  return { all, areas };
}

function showBar(item, shares) {
  const specification = item.closest(".chapter").dataset.specification;
  item.querySelector(".percent").textContent = percent(shares);
  item.querySelector(".of").textContent = claimed(shares) ? `of ${number(claimed(shares))}` : "";
  const drawn = item.querySelector(".bar");
  drawn.replaceChildren(...barParts(shares));
  drawn.setAttribute("aria-label", `${item.dataset.backend}, ${specification}: ${sentence(shares)}`);
  item.querySelector(".figures").replaceChildren(...figures(shares));
}

/** Make the numbers of the areas links that open them. */
function openAreas() {
  for (const row of front.querySelectorAll("table.areas tbody tr")) {
    const specification = row.closest(".chapter").dataset.specification;
    const { name, areas } = { name: row.dataset.backend, areas: core.specifications.find((one) => one.name === specification).areas };
    const figures = backends.get(name).areas[specification];
    areas.forEach((area, place) => {
      const cell = row.cells[place + 1];
      const shares = ofNumbers(figures[place]);
      cell.dataset.area = area;
      if (total(shares)) cell.replaceChildren(make("a", { href: at({ backend: name, area, specification }), "aria-label": `${name}, ${area}: ${sentence(shares)}` }, shortPercent(shares)));
    });
  }
  document.body.classList.add("ready");
}

/** Show the causes that have a statement at these places, and how many. */
function showCauses(item, places) {
  for (const cause of item.querySelectorAll(".causes li[data-at]")) {
    const counts = new Map(cause.dataset.at.split(" ").map((pair) => pair.split(":").map(Number)));
    const here = places.reduce((sum, place) => sum + (counts.get(place) ?? 0), 0);
    cause.hidden = !here;
    cause.querySelector(".n").textContent = counted(here, "statement");
  }
}

function showAreas(row, areas) {
  for (const cell of [...row.cells].slice(1)) {
    const shares = areas[cell.dataset.area] ?? count("", []);
    cell.className = `l-${level(shares)}`;
    const inside = cell.querySelector("a");
    if (!inside) continue;
    inside.textContent = shortPercent(shares);
    inside.setAttribute("aria-label", `${row.dataset.backend}, ${cell.dataset.area}: ${sentence(shares)}`);
  }
}

const ORDERS = {
  "": (a, b) => departures(b) + b.b - departures(a) - a.b,
  share: (a, b) => (claimed(a) ? a.p / claimed(a) : 2) - (claimed(b) ? b.p / claimed(b) : 2),
  claimed: (a, b) => claimed(b) - claimed(a),
  date: (a, b, one, other) => other.date.localeCompare(one.date),
  name: () => 0,
};

/** Return the names in the chosen order; equal ones by name. */
const sorted = (names, shares, sort) => [...names].sort((one, other) =>
  (ORDERS[sort] ?? ORDERS[""])(shares[one], shares[other], backends.get(one), backends.get(other)) || one.localeCompare(other));

let counting = "";

async function showFront(state) {
  fill(frontForm, state);
  const { kind = "", dtype = "", text = "", specification = "", sort = "" } = state;
  const narrowed = kind !== "" || dtype !== "";
  const matrix = narrowed || counting !== "" ? await load("requirements") : null;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const chapter of front.querySelectorAll(".chapter")) {
    const its = chapter.dataset.specification;
    chapter.hidden = specification !== "" && specification !== its;
    const list = chapter.querySelector(".bars, tbody");
    const items = new Map([...list.children].map((item) => [item.dataset.backend, item]));
    const shares = {};
    for (const [name, item] of items) {
      const found = matrix ? sharesFor(matrix, name, its, { kind, dtype }) : null;
      shares[name] = found ? found.all : ofNumbers(backends.get(name).shares[its]);
      const one = front.querySelector(`.chapter[data-specification="${CSS.escape(its)}"] .backend[data-backend="${CSS.escape(name)}"]`);
      item.hidden = !words.every((word) => one.textContent.toLowerCase().includes(word)) || (narrowed && !total(shares[name]));
      if (!found) continue;
      if (item === one) {
        showBar(item, shares[name]);
        showCauses(item, subjectsOf(its, { kind, dtype }));
      }
      else showAreas(item, found.areas);
    }
    const inOrder = sorted(items.keys(), shares, sort).map((name) => items.get(name));
    if (inOrder.some((item, place) => list.children[place] !== item)) list.append(...inOrder);
    if (list.matches(".bars") && !chapter.hidden) shown += inOrder.filter((item) => !item.hidden).length;
  }
  counting = narrowed ? `${kind} ${dtype}` : "";
  frontForm.querySelector(".found").textContent = counted(shown, "bar");
  for (const open of front.querySelectorAll("table.areas td a, table.areas th a, .backend a[href^='#backend']")) {
    const to = stateOf(open.getAttribute("href"));
    open.setAttribute("href", at({ ...to, kind, dtype }));
  }
}

/** Move between the cells of a table by arrow keys. */
document.addEventListener("keydown", (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  const from = event.target.closest?.("table.areas td, table.areas th, table.matrix td, table.matrix th");
  if (!step || !from || !["A", "BUTTON"].includes(event.target.tagName)) return;
  const rows = [...from.closest("table").rows].filter((row) => row.offsetParent !== null);
  let [y, x] = [rows.indexOf(from.parentElement), from.cellIndex];
  for (y += step[0], x += step[1]; rows[y]?.cells[x]; y += step[0], x += step[1]) {
    const target = rows[y].cells[x].querySelector("a, button");
    if (target && target.offsetParent !== null) {
      event.preventDefault();
      target.focus();
      return;
    }
  }
});
