"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.querySelector(".matrix");
  const form = document.querySelector(".filters");
  const dialog = document.getElementById("opened");
  const all = Object.keys(data.requirements).length;

  /** Make an element with attributes and children; text is never markup. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  const mark = (status) => make("span", { class: "mark", "aria-hidden": "true" }, status.mark);

  function margin(value) {
    if (value == null) return "–";
    if (value > 1e300) return "beyond any";
    if (value < 10) return `${Math.round(100 * value)}%`;
    return value < 100 ? `${Math.round(value)} x` : `${value.toExponential(1).replace(/\+(\d)$/, "+0$1")} x`;
  }

  /** Return the rows of a cell that pass the filters. */
  const left = (rows, chosen) => rows.filter(([kind, dtype]) =>
    (chosen.kind === "" || data.kinds[kind] === chosen.kind) &&
    (chosen.dtype === "" || data.dtypes[dtype] === chosen.dtype));

  /** Return the worst status of rows, an index of data.statuses, and the share of rows with it unless all have it. */
  function fold(rows) {
    if (!rows.length) return null;
    const worst = Math.min(...rows.map((row) => row[2]));
    const those = rows.filter((row) => row[2] === worst).length;
    return { worst, part: those === rows.length ? "" : `${those}/${rows.length}` };
  }

  // The lines of the table, with the texts to search and to show.
  const areas = [...table.querySelectorAll("tbody.area")].map((head) => {
    const body = head.nextElementSibling;
    const lines = [...body.rows].map((row) => {
      const entry = data.requirements[row.id];
      const messages = entry.cells.flat().map((found) =>
        [data.texts[found[5] ?? 0], ...(found[6] ?? []).map((fault) => data.faults[fault].join(" "))].join(" "));
      const text = [row.cells[0].textContent, entry.source, entry.ruling, ...new Set(messages)].join(" ").toLowerCase();
      return { row, entry, text, folds: [] };
    });
    return { head, body, lines, name: head.dataset.area, open: false };
  });

  function showCell(line, column, folded) {
    const cell = line.row.cells[column + 1];
    if (!folded) {
      cell.className = "none";
      cell.replaceChildren(make("span", { class: "hidden" }, "not in the report"));
      return;
    }
    const status = data.statuses[folded.worst];
    const part = folded.part && ` ${folded.part}`;
    cell.className = `s-${status.key}`;
    cell.replaceChildren(make("button",
      { type: "button", "aria-haspopup": "dialog", "aria-label": `${line.row.id}, ${data.backends[column]}: ${status.word}${part}` },
      mark(status), "\u00a0", make("span", { class: "word" }, status.word), part));
  }

  function showCounts(area, column) {
    const counts = data.statuses.map(() => 0);
    for (const line of area.lines) if (line.folds[column]) counts[line.folds[column].worst] += 1;
    area.head.rows[0].cells[column + 1].replaceChildren(...counts.flatMap((count, number) => {
      const status = data.statuses[number];
      const word = make("span", { class: "hidden" }, ` ${status.word}`);
      return count ? [make("span", { class: `s-${status.key}` }, mark(status), ` ${count}`, word), " "] : [];
    }));
  }

  function setOpen(area, open) {
    area.body.hidden = !open;
    area.head.querySelector("button").setAttribute("aria-expanded", String(open));
  }

  const values = () => ({ text: "", area: "", status: "", kind: "", dtype: "", backend: "",
    ...Object.fromEntries(new FormData(form)) });

  /** Apply the filters: to the kinds and dtypes of cells, and to lines. */
  function filter(refold) {
    const chosen = values();
    const words = chosen.text.toLowerCase().split(/\s+/).filter(Boolean);
    const columns = data.backends.map((_, column) => column)
      .filter((column) => chosen.backend === "" || Number(chosen.backend) === column);
    const narrow = words.length > 0 || chosen.area !== "" || chosen.status !== "";
    let shown = 0;
    for (const area of areas) {
      if (refold) {
        for (const line of area.lines) {
          line.folds = line.entry.cells.map((rows) => fold(left(rows, chosen)));
          line.folds.forEach((folded, column) => showCell(line, column, folded));
        }
        data.backends.forEach((_, column) => showCounts(area, column));
      }
      let matching = 0;
      for (const line of area.lines) {
        const keys = columns.map((column) => line.folds[column] && data.statuses[line.folds[column].worst].key);
        const status = chosen.status === "differs" ? new Set(keys).size > 1 : keys.includes(chosen.status);
        const matches = (chosen.area === "" || chosen.area === area.name) && (chosen.status === "" || status) &&
          keys.some(Boolean) && words.every((word) => line.text.includes(word));
        line.row.hidden = !matches;
        matching += matches;
      }
      area.head.hidden = !matching;
      area.head.querySelector(".size").textContent =
        matching === area.lines.length ? `${matching}` : `${matching} of ${area.lines.length}`;
      setOpen(area, matching > 0 && (narrow || area.open));
      shown += matching;
    }
    for (const row of table.rows) {
      data.backends.forEach((_, column) => { row.cells[column + 1].hidden = !columns.includes(column); });
    }
    document.getElementById("found").textContent = `${shown} of ${all} requirements`;
  }

  // Opening a cell

  function documented(entry) {
    const link = (text, address) => make("a", { href: address, rel: "noreferrer" }, text);
    if (/^https?:\/\//.test(entry.source)) return [link(entry.source, entry.source)];
    const links = entry.documented.flatMap((name) => [" ", link(name, `${data.documentation}${name}.html`)]);
    return [entry.source, ...(links.length ? [make("br"), make("small", {}, "pages:", ...links)] : [])];
  }

  function rowsTable(rows) {
    const head = ["Kind", "Dtype", "Status", "Examples", "Margin"];
    const number = (name) => (name === "Examples" || name === "Margin" ? "number" : null);
    return make("div", { class: "scroll", role: "region", "aria-label": "By kind and dtype", tabindex: "0" },
      make("table", { class: "plain" },
        make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col", class: number(name) }, name)))),
        make("tbody", {}, ...rows.map(([kind, dtype, number, examples, error]) => {
          const status = data.statuses[number];
          return make("tr", {}, make("th", { scope: "row" }, data.kinds[kind]), make("td", {}, data.dtypes[dtype]),
            make("td", { class: `s-${status.key}` }, mark(status), ` ${status.word}`),
            make("td", { class: "number" }, examples.toLocaleString("en")), make("td", { class: "number" }, margin(error)));
        }))));
  }

  /** List message, diagnosis and reproducer of the rows; equal rows appear once. */
  function findings(rows) {
    const groups = new Map();
    for (const row of rows) {
      const [, , status, , , text = 0, faults = [], reproducer = 0] = row;
      if (!text && !faults.length && !reproducer) continue;
      const key = JSON.stringify([status, text, faults, reproducer]);
      groups.set(key, [...(groups.get(key) ?? []), row]);
    }
    return [...groups.values()].flatMap((those) => {
      const [, , number, , , text = 0, faults = [], reproducer = 0] = those[0];
      const where = those.map(([kind, dtype]) => `${data.kinds[kind]} ${data.dtypes[dtype]}`).join(", ");
      const status = data.statuses[number];
      return [
        make("h3", { class: `s-${status.key}` }, mark(status), ` ${status.word}: ${where}`),
        faults.length ? make("p", {}, make("strong", {}, "Diagnosis: "), "these are the numbers of") : null,
        faults.length ? make("ul", {}, ...faults.map((fault) =>
          make("li", {}, data.faults[fault][1], " (", make("code", {}, data.faults[fault][0]), ")"))) : null,
        text ? make("pre", {}, data.texts[text]) : null,
        reproducer ? make("p", {}, make("strong", {}, "Reproducer: "), make("code", {}, data.texts[reproducer])) : null,
      ];
    });
  }

  function openCell(row, column) {
    const entry = data.requirements[row.id];
    const chosen = values();
    const rows = left(entry.cells[column], chosen);
    const facts = [["Source", documented(entry)]];
    if (entry.ruling) facts.push(["Ruling", [entry.ruling]]);
    if (entry.builds.length) facts.push(["Builds on", [entry.builds.join(", ")]]);
    const others = entry.cells[column].length - rows.length;
    const close = make("button", { type: "button" }, "Close");
    close.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(
      make("header", {}, make("h2", { id: "opened-title" }, make("code", {}, row.id), ` on ${data.backends[column]}`), close),
      make("p", {}, row.cells[0].querySelector("small").textContent),
      make("dl", {}, ...facts.flatMap(([name, told]) => [make("dt", {}, name), make("dd", {}, ...told)])),
      rowsTable(rows),
      ...(others ? [make("p", { class: "note" }, `${others} more kinds and dtypes are filtered out.`)] : []),
      ...findings(rows).filter(Boolean));
    dialog.showModal();
    dialog.scrollTop = 0;
    history.replaceState(null, "", `#${row.id}/${encodeURIComponent(data.backends[column])}`);
  }

  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  table.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const area = areas.find((one) => one.head.contains(button));
    if (area) {
      area.open = area.body.hidden;
      setOpen(area, area.open);
    } else openCell(button.closest("tr"), button.closest("td").cellIndex - 1);
  });

  table.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const from = event.target.closest("td, th");
    if (!step || !from || event.target.tagName !== "BUTTON") return;
    const rows = [...table.rows].filter((row) => row.offsetParent !== null);
    let [y, x] = [rows.indexOf(from.parentElement), from.cellIndex];
    for (y += step[0], x += step[1]; rows[y]?.cells[x]; y += step[0], x += step[1]) {
      const button = rows[y].cells[x].querySelector("button");
      if (button && button.offsetParent !== null) {
        event.preventDefault();
        button.focus();
        return;
      }
    }
  });

  let refolded = "";
  const changed = () => {
    const { kind, dtype } = values();
    const refold = refolded !== `${kind} ${dtype}`;
    refolded = `${kind} ${dtype}`;
    filter(refold);
  };
  form.addEventListener("input", changed);
  form.addEventListener("change", changed); // a select that a script or the browser sets sends no "input"
  form.addEventListener("reset", () => setTimeout(changed));
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const [id, open] of [["unfold", true], ["fold", false]]) {
    document.getElementById(id).addEventListener("click", () => {
      for (const area of areas) setOpen(area, area.open = open);
    });
  }

  // Elements that need the script are hidden until it runs.
  for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
  for (const area of areas) {
    const head = area.head.rows[0].cells[0];
    head.replaceChildren(make("button", { type: "button", "aria-expanded": "true" }, ...head.childNodes));
  }
  changed();

  const [id, backend] = decodeURIComponent(location.hash.slice(1)).split("/");
  const place = document.getElementById(id);
  if (place && id in data.requirements && data.backends.includes(backend)) {
    const area = areas.find((one) => one.body.contains(place));
    setOpen(area, area.open = true);
    openCell(place, data.backends.indexOf(backend));
  }
})();
