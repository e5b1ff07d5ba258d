// Shares of statements, counted as conformance/reporting/shares.py counts them.

const subjectsOf = (specification, { kind = "", dtype = "" } = {}) =>
  core.subjects.flatMap(([name, its, of], place) =>
    (name === specification && (kind === "" || its === kind) && (dtype === "" || of === dtype) ? [place] : []));

/** Count the letters of a cell at these places. */
function count(letters, places, shares = { p: 0, f: 0, k: 0, b: 0, n: 0 }) {
  for (const place of places) if (letters[place] in shares) shares[letters[place]] += 1;
  return shares;
}

const ofNumbers = ([p, f, k, b, n]) => ({ p, f, k, b, n });
const departures = (shares) => shares.f + shares.k;
const claimed = (shares) => shares.p + departures(shares) + shares.b;
const total = (shares) => claimed(shares) + shares.n;

/** Return the fulfilled part in percent, cut to a tenth, so that 100 % means all. */
function percent(shares) {
  const whole = claimed(shares);
  if (!whole) return "nothing claimed";
  if (shares.p === whole) return "100 %";
  const cut = Math.floor((1000 * shares.p) / whole);
  return `${Math.floor(cut / 10)}.${cut % 10} %`;
}

const shareText = (shares) => (claimed(shares) ? `${percent(shares)} of ${number(claimed(shares))}` : percent(shares));

function sentence(shares) {
  const parts = [claimed(shares) ? `${shareText(shares)} fulfilled` : percent(shares)];
  if (departures(shares)) {
    const known = !shares.k ? "" : !shares.f ? ", all known" : `, ${number(shares.k)} of them known`;
    parts.push(counted(departures(shares), "departure") + known);
  }
  if (shares.b) parts.push(`${number(shares.b)} blocked`);
  if (shares.n) parts.push(`${number(shares.n)} not claimed`);
  return parts.join("; ");
}

const shortPercent = (shares) => (claimed(shares) ? String(Math.floor((100 * shares.p) / claimed(shares))) : total(shares) ? "–" : "");

function level(shares) {
  const whole = claimed(shares);
  if (!whole) return "none";
  const part = shares.p / whole;
  return part === 1 ? "all" : part >= 0.95 ? "most" : part >= 0.8 ? "many" : part >= 0.5 ? "half" : "few";
}

const PARTS = [["fulfilled", "p"], ["failed", "f"], ["known", "k"], ["blocked", "b"], ["not_claimed", "n"]];

/** Return the parts of a bar. */
const barParts = (shares) => PARTS.filter(([, letter]) => shares[letter]).map(([name, letter]) =>
  make("i", { class: `p-${name}`, style: `width:${(100 * shares[letter] / total(shares)).toFixed(2)}%` }));

const bar = (shares, label) => make("div", { class: "bar", role: "img", "aria-label": `${label}: ${sentence(shares)}` }, barParts(shares));

/** Return the figures below a bar. */
function figures(shares) {
  const parts = [`${number(shares.p)} fulfilled`];
  if (departures(shares)) parts.push(make("b", { class: "s-failed" }, `${number(departures(shares))} ${departures(shares) === 1 ? "departs" : "depart"}`));
  if (shares.b) parts.push(`${number(shares.b)} blocked`);
  if (shares.n) parts.push(`${number(shares.n)} not claimed`);
  return parts.flatMap((part, place) => (place ? [", ", part] : [part]));
}

/** Return the requirements of a specification and area that have statements at these places, with the cells of all backends. */
function requirementsOf(matrix, { specification = "", area = "" }) {
  return Object.entries(matrix.requirements).filter(([, one]) =>
    (specification === "" || one.specification === specification) && (area === "" || one.area === area));
}
