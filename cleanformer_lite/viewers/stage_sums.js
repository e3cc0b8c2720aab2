// The arithmetic of the stage: every number, which numbers it comes from, and the sum in words.
// A number's key is its tensor and its indices: "x.1.0", "wq.3.0" (input 3, output 0), "q.1.0",
// "bq.0.0", "s.0.1.2" (head 0, query 1, key 2), "o.1.0", "wo.3.0", "p.0.1.0" (head 0's part), "y.1.0".
const range = (n) => Array.from({ length: n }, (_, i) => i);
const total = (terms) => terms.reduce((a, b) => a + b, 0);
const STEPS = "words x W qkv split scores mask softmax values merge W_O output".split(" ");
const stepsOf = (state) => STEPS.filter((step) => state.weights.o || !/split|merge|W_O|output/.test(step));

const compute = (state) => {
  const { x, weights, biases, heads: H } = state;
  const L = x.length,
    E = x[0].length,
    A = weights.q.length,
    D = A / H;
  const sliced = state.mode === "sliced";
  // In the sliced mode a head has weights for its own slice of x alone.
  const has = (name, input, output) =>
    !sliced || name === "o" || Math.floor((input * H) / E) === Math.floor(output / D);
  const bias = (name, output) => biases[name]?.[output] ?? 0;
  const project = (vectors, name) =>
    vectors.map((row) =>
      weights[name].map(
        (column, output) => total(row.map((v, i) => (has(name, i, output) ? v * column[i] : 0))) + bias(name, output),
      ),
    );
  const [q, k, v] = ["q", "k", "v"].map((name) => project(x, name));
  const own = (row, h) => row.slice(h * D, (h + 1) * D);
  const raw = range(H).map((h) => q.map((a) => k.map((b) => total(own(a, h).map((n, d) => n * own(b, h)[d])))));
  const open = (i, j) => !state.causal || j <= i;
  const scaled = raw.map((map) => map.map((row, i) => row.map((n, j) => (open(i, j) ? n / Math.sqrt(D) : -Infinity))));
  const shares = scaled.map((map) =>
    map.map((row) => {
      const top = Math.max(...row),
        powers = row.map((n) => Math.exp(n - top));
      return powers.map((n) => n / total(powers));
    }),
  );
  const on = (h) => !state.off.includes(h);
  const o = range(L).map((i) =>
    range(A).map((a) => total(v.map((row, j) => shares[Math.floor(a / D)][i][j] * row[a]))),
  );
  const parts = range(H).map((h) =>
    o.map((row) => (weights.o ?? []).map((out) => total(own(row, h).map((n, d) => n * out[h * D + d])))),
  );
  const y = o.map((_, i) =>
    (weights.o ?? []).map((_, e) => total(parts.filter((_, h) => on(h)).map((p) => p[i][e])) + bias("o", e)),
  );
  return { L, E, A, D, H, sliced, has, on, open, x, q, k, v, raw, scaled, shares, o, parts, y, bias, weights };
};

// The same place holds scores, then scores divided and masked, then shares.
const scoresAt = (all, step) => (step === "scores" ? all.raw : step === "mask" ? all.scaled : all.shares);
const valueOf = (all, key, step) => {
  const [name, ...at] = key.split("."),
    [a, b, c] = at.map(Number);
  if (name === "s") return scoresAt(all, step)[a][b][c];
  if (name === "p") return all.parts[a][b][c];
  if (name[0] === "w") return all.has(name[1], a, b) ? all.weights[name[1]][b][a] : null;
  if (name[0] === "b") return all.bias(name[1], b);
  return all[name][a][b];
};

// A number as it stands in a sum: two decimals at most.
const short = (n) => (n === -Infinity ? "−∞" : String(+n.toFixed(2) || 0).replace("-", "−"));
const joined = (terms) =>
  terms.length
    ? terms.reduce(
        (sum, term) => (!sum ? term : term[0] === "−" ? `${sum} − ${term.slice(1)}` : `${sum} + ${term}`),
        "",
      )
    : "0";
const times = (a, b) => `${a * b < 0 ? "−" : ""}${short(Math.abs(a))} · ${short(Math.abs(b))}`;

// What a number is made of: pairs that are multiplied, numbers that are added, and how it is said.
const madeOf = (all, key, step) => {
  const [name, ...at] = key.split("."),
    [a, b, c] = at.map(Number),
    { D } = all;
  const value = (other) => valueOf(all, other, step);
  const sum = (pairs, added = []) => ({
    from: [...pairs.flat(), ...added],
    sum: joined([
      ...pairs.map(([one, other]) => times(value(one), value(other))),
      ...added.map((k) => short(value(k))),
    ]),
  });
  const bias = (letter, output) => (all.bias(letter, output) ? [`b${letter}.0.${output}`] : []);
  if ("qkv".includes(name))
    return sum(
      range(all.E)
        .filter((e) => all.has(name, e, b))
        .map((e) => [`x.${a}.${e}`, `w${name}.${e}.${b}`]),
      bias(name, b),
    );
  if (name === "s") {
    const pairs = range(D).map((d) => [`q.${b}.${a * D + d}`, `k.${c}.${a * D + d}`]);
    if (step === "scores") return sum(pairs);
    if (step === "mask") {
      if (!all.open(b, c)) return { from: [], sum: "" };
      const { from, sum: inner } = sum(pairs);
      return { from, sum: `(${inner}) / ${short(Math.sqrt(D))}` };
    }
    const row = range(all.L).filter((j) => all.open(b, j)),
      power = (j) => `e^${short(all.scaled[a][b][j])}`;
    return {
      from: row.map((j) => `s.${a}.${b}.${j}`),
      sum: all.open(b, c) ? `${power(c)} / (${row.map(power).join(" + ")})` : "",
    };
  }
  const head = Math.floor(b / D);
  if (name === "o") return sum(range(all.L).map((j) => [`s.${head}.${a}.${j}`, `v.${j}.${b}`]));
  if (name === "p") return sum(range(D).map((d) => [`o.${b}.${a * D + d}`, `wo.${a * D + d}.${c}`]));
  if (name === "y" && step === "output")
    return sum(
      [],
      [
        ...range(all.H)
          .filter(all.on)
          .map((h) => `p.${h}.${a}.${b}`),
        ...bias("o", b),
      ],
    );
  if (name === "y")
    return sum(
      range(all.A)
        .filter((f) => all.on(Math.floor(f / D)))
        .map((f) => [`o.${a}.${f}`, `wo.${f}.${b}`]),
      bias("o", b),
    );
  return { from: [], sum: "" };
};

// Which heads can know a number of x: those with a weight for it.
const knows = (all, head, feature) =>
  ["q", "k", "v"].some((name) =>
    range(all.D).some((d) => all.has(name, feature, head * all.D + d) && all.weights[name][head * all.D + d][feature]),
  );

// How many numbers differ between two states of the whole computation.
const flatten = (all) =>
  [
    ...["q", "k", "v"].map((name) =>
      all.weights[name].map((row, out) => row.map((w, i) => (all.has(name, i, out) ? w : 0))),
    ),
    ...["q", "k", "v", "raw", "scaled", "shares", "o", "parts", "y"].map((name) => all[name]),
  ].flat(4);
const changes = (before, after) => {
  const old = flatten(before);
  return [flatten(after).filter((n, i) => n !== old[i] && Math.abs(n - old[i]) > 1e-9).length, old.length];
};
