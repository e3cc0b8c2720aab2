// The arithmetic of the stage. What a number is made of is said once: its value, the numbers that
// light up and the sum in words all follow from it.
// A number's key is its tensor and its indices: "x.1.0", "wq.3.0" (input 3, output 0), "q.1.0",
// "bq.0.0", "s.0.1.2" (head 0, query 1, key 2), "o.1.0", "wo.3.0", "p.0.1.0" (head 0's part), "y.1.0".
const range = (n) => [...Array(n).keys()];
const total = (terms) => terms.reduce((a, b) => a + b, 0);
const parse = (key) => key.split(".").map((part, i) => (i ? Number(part) : part));
const STEPS = "words x W qkv split scores mask softmax values merge W_O output".split(" ");

// Rows and columns of each tensor: words (L), numbers of x (E) and of the heads (A), which heads
// share out, and numbers that they do not (F).
const axesOf = ({ heads, weights, biases }) => {
  const axes = { x: "LE" };
  for (const name of "qkvo".split("").filter((name) => weights[name])) {
    axes["w" + name] = name === "o" ? "AF" : "EA";
    axes[name] = "LA";
    if (biases[name]) axes["b" + name] = name === "o" ? "1F" : "1A";
  }
  axes.o = "LA";
  for (const h of range(heads)) axes["s." + h] = "LL";
  if (weights.o) for (const h of range(heads)) axes["p." + h] = "LF";
  return weights.o ? { ...axes, y: "LF" } : axes;
};

// The same cell holds a score, then the score divided and masked, then a share; an output is made
// of the heads' answers, then of their parts.
const KINDS = { scores: "sr", mask: "sm", output: "yz" };
const kindAt = (key, step) => (KINDS[step]?.[0] === key[0] ? KINDS[step][1] + key.slice(1) : key);

const compute = (state) => {
  const { x, weights, biases, heads: H } = state;
  const [L, E, A] = [x.length, x[0].length, weights.q.length],
    D = A / H;
  const sliced = state.mode === "sliced";
  const headOf = (a) => Math.floor(a / D),
    on = (h) => !state.off.includes(h),
    open = (i, j) => !state.causal || j <= i;
  // In the sliced mode a head has weights for its own slice of x alone.
  const has = (e, a) => !sliced || Math.floor((e * H) / E) === headOf(a);
  const numbersOf = (h) => range(D).map((d) => h * D + d);
  // Pairs that are multiplied, and numbers that are added to them.
  const madeOf = (key) => {
    const [name, a, b, c] = parse(key);
    const bias = (of) => (biases[of] ? [`b${of}.0.${b}`] : []);
    const speaking = range(H).filter(on);
    const made = {
      q: () => [range(E).filter((e) => has(e, b)).map((e) => [`x.${a}.${e}`, `w${name}.${e}.${b}`]), bias(name)],
      r: () => [numbersOf(a).map((n) => [`q.${b}.${n}`, `k.${c}.${n}`])],
      m: () => (open(b, c) ? made.r() : []),
      s: () => [[], open(b, c) ? range(L).filter((j) => open(b, j)).map((j) => `m.${a}.${b}.${j}`) : []],
      o: () => [range(L).map((j) => [`s.${headOf(b)}.${a}.${j}`, `v.${j}.${b}`])],
      p: () => [numbersOf(a).map((n) => [`o.${b}.${n}`, `wo.${n}.${c}`])],
      y: () => [speaking.flatMap(numbersOf).map((n) => [`o.${a}.${n}`, `wo.${n}.${b}`]), bias("o")],
      z: () => [[], [...speaking.map((h) => `p.${h}.${a}.${b}`), ...bias("o")]],
    }; // prettier-ignore
    made.k = made.v = made.q;
    const [pairs = [], added = []] = made[name]?.() ?? [];
    return { pairs, added };
  };
  const known = new Map();
  const valueOf = (key) => {
    if (!known.has(key)) known.set(key, evaluate(key, ...parse(key)));
    return known.get(key);
  };
  const evaluate = (key, name, a, b, c) => {
    if (name === "x") return x[a][b];
    if (name[0] === "b") return biases[name[1]][b];
    if (name[0] === "w") return name === "wo" || has(a, b) ? weights[name[1]][b][a] : null;
    if (name === "m") return open(b, c) ? valueOf("r" + key.slice(1)) / Math.sqrt(D) : -Infinity;
    if (name === "s") {
      const row = range(L).map((j) => valueOf(`m.${a}.${b}.${j}`));
      const power = (n) => Math.exp(n - Math.max(...row));
      return power(row[c]) / total(row.map(power));
    }
    const { pairs, added } = madeOf(key);
    return total([...pairs.map(([one, other]) => valueOf(one) * valueOf(other)), ...added.map(valueOf)]);
  };
  return { L, E, A, D, H, sizes: { L, E, A, F: E, 1: 1 }, sliced, axes: axesOf(state), on, madeOf, valueOf };
};
const keysOf = (all, name) => {
  const [down, across] = [...all.axes[name]].map((axis) => range(all.sizes[axis]));
  return down.flatMap((i) => across.map((j) => `${name}.${i}.${j}`));
};

// The largest number of a tensor, and whether all of them are written with one decimal.
const rangeOf = (all, kind) => {
  const name = kind.replace(/^[rm]/, "s").replace("z", "y");
  const numbers = keysOf(all, name).map((key) => all.valueOf(kind[0] + key.slice(1)));
  return {
    top: kind[0] === "s" ? 1 : Math.max(0.1, ...numbers.filter(Number.isFinite).map(Math.abs)),
    oneDecimal: numbers.every((n) => Math.abs(n * 10 - Math.round(n * 10)) < 1e-6),
  };
};

// A number as it stands in a sum: two decimals at most.
const short = (n) => (n === -Infinity ? "−∞" : String(+n.toFixed(2) || 0).replace("-", "−"));
const times = (a, b) => `${a * b < 0 ? "−" : ""}${short(Math.abs(a))} · ${short(Math.abs(b))}`;
const sumOf = (all, key) => {
  const { pairs, added } = all.madeOf(key),
    [name, a, b, c] = parse(key);
  if (name === "s" && added.length) {
    const power = (other) => `e^${short(all.valueOf(other))}`;
    return `${power(`m.${a}.${b}.${c}`)} / (${added.map(power).join(" + ")})`;
  }
  const terms = [
    ...pairs.map(([one, other]) => times(all.valueOf(one), all.valueOf(other))),
    ...added.map((other) => short(all.valueOf(other))),
  ];
  const sum = terms.join(" + ").replaceAll("+ −", "− ");
  return name === "m" && sum ? `(${sum}) / ${short(Math.sqrt(all.D))}` : sum;
};
// The cells that a number's sum is made of.
const sourcesOf = (all, key) => {
  const { pairs, added } = all.madeOf(key);
  return [...pairs.flat(), ...added].map((other) => other.replace(/^[rm]/, "s"));
};

// Which heads can know a number of x: those with a weight for it.
const knows = (all, head, e) =>
  ["wq", "wk", "wv"].some((w) => range(all.D).some((d) => all.valueOf(`${w}.${e}.${head * all.D + d}`)));

// How many numbers differ between two states of the whole computation, of how many.
const changes = (before, after) => {
  const keys = Object.keys(after.axes).flatMap((name) => keysOf(after, name));
  const all = keys.flatMap((key) => (key[0] === "s" ? ["r", "m", "s"].map((kind) => kind + key.slice(1)) : [key]));
  const differs = (key) => Math.abs(after.valueOf(key) - before.valueOf(key)) > 1e-9;
  return [all.filter(differs).length, all.length];
};
