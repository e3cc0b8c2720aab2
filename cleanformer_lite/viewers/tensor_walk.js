// Tensors as torch has them: memory, a shape and strides; what each step of a recipe makes of them,
// and what came of it.
const product = (sizes) => sizes.reduce((a, b) => a * b, 1);
const stridesOf = (shape) => shape.map((_, axis) => product(shape.slice(axis + 1)));
const LETTERS = "abcdefghij";
const NAMES = { N: "sequence", L: "position", H: "head", D: "number", E: "number" };

// Beside memory, shape and strides: the axis names that the recipe believes in, and for each number
// of memory those of x that it may depend on.
const tensor = (memory, knows, axes, sizes, strides) => {
  const shape = [...axes].map((axis) => sizes[axis]);
  return { memory, knows, axes, shape, strides: strides ?? stridesOf(shape) };
};
const eachIndex = (shape) =>
  Array.from({ length: product(shape) }, (_, flat) =>
    stridesOf(shape).map((stride, axis) => Math.floor(flat / stride) % shape[axis]),
  );
const at = (t, index) => index.reduce((sum, i, axis) => sum + i * t.strides[axis], 0);
const walk = (t, kept) => eachIndex(t.shape).map((index) => kept[at(t, index)]);
const contiguous = (t) => t.shape.every((size, axis) => size === 1 || t.strides[axis] === stridesOf(t.shape)[axis]);
const copy = (t, sizes) => tensor(walk(t, t.memory), walk(t, t.knows), t.axes, sizes);

// A view joins axes only where one goes on where the next ends; null where that cannot be.
const viewStrides = (t, wanted) => {
  const strides = [];
  let next = wanted.length - 1,
    base = t.strides.at(-1),
    run = 1;
  for (let axis = t.shape.length - 1; axis >= 0; axis--) {
    run *= t.shape[axis];
    if (axis && (t.shape[axis - 1] === 1 || t.strides[axis - 1] === run * base)) continue;
    let taken = 1;
    for (; next >= 0 && (taken < run || wanted[next] === 1); next--) {
      strides[next] = taken * base;
      taken *= wanted[next];
    }
    if (taken !== run) return null;
    if (axis) [base, run] = [t.strides[axis - 1], 1];
  }
  return next < 0 ? strides : null;
};
const NO_VIEW =
  "RuntimeError: view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead.";

const view = (t, axes, sizes) => {
  const strides = viewStrides(
    t,
    [...axes].map((axis) => sizes[axis]),
  );
  return strides ? tensor(t.memory, t.knows, axes, sizes, strides) : { error: NO_VIEW };
};
const swap = (list, a, b) => list.map((one, i) => (i === a ? list[b] : i === b ? list[a] : one));
const transpose = (t, a, b, sizes) => {
  const last = t.shape.length - 1;
  if (b > last)
    return {
      error: `IndexError: Dimension out of range (expected to be in range of [${-last - 1}, ${last}], but got ${b})`,
    };
  return tensor(t.memory, t.knows, swap([...t.axes], a, b).join(""), sizes, swap(t.strides, a, b));
};
// Causal attention runs along the last axis but one, whatever that is. Each row keeps its own
// numbers here, so that they stay known; what it may depend on are all rows up to its own.
const attend = (t, sizes) => {
  const made = copy(t, sizes),
    [length, width] = t.shape.slice(-2);
  made.knows = made.knows.map((_, flat) => {
    const block = Math.floor(flat / (length * width)) * length * width,
      row = Math.floor(flat / width) % length;
    return new Set(made.knows.slice(block, block + (row + 1) * width).flatMap((known) => [...known]));
  });
  return made;
};
const apply = (t, chip, sizes) => {
  const axes = chip.match(/[NLHDE](?=[,)])/g)?.join("");
  if (chip.startsWith(".view")) return view(t, axes, sizes);
  if (chip.startsWith(".transpose")) return transpose(t, ...chip.match(/\d/g).map(Number), sizes);
  if (chip === ".contiguous()") return contiguous(t) ? t : copy(t, sizes);
  if (chip === "attend") return attend(t, sizes);
  const seen = view(t, axes, sizes);
  return seen.error ? tensor(walk(t, t.memory), walk(t, t.knows), axes, sizes) : seen;
};

// The steps of a recipe, up to the one that is refused.
const stepsOfRecipe = (recipe, sizes) => {
  const cells = [...Array(sizes.N * sizes.L * sizes.E).keys()];
  const steps = [
    {
      chip: "x",
      t: tensor(
        cells,
        cells.map((cell) => new Set([cell])),
        "NLE",
        sizes,
      ),
    },
  ];
  for (const chip of recipe) {
    const before = steps.at(-1);
    if (before.error) break;
    const made = apply(before.t, chip, sizes);
    steps.push(made.error ? { chip, t: before.t, error: made.error } : { chip, t: made });
  }
  return steps;
};

// What the axis names promise at an index: which number of x should stand there.
const promised = (t, index, sizes) => {
  const i = { H: 0, ...Object.fromEntries([...t.axes].map((axis, k) => [axis, index[k]])) };
  const feature = t.axes.includes("E") ? i.E : i.H * sizes.D + i.D;
  return (i.N * sizes.L + i.L) * sizes.E + feature;
};
const stray = (t, sizes) =>
  eachIndex(t.shape).filter((index) => t.memory[at(t, index)] !== promised(t, index, sizes)).length;
const rowOf = (cell, sizes) => Math.floor(cell / sizes.E);
const nameOf = (cell, sizes) => LETTERS[rowOf(cell, sizes)] + (cell % sizes.E);

// The first position that depends on a later one, or on another sequence.
const leak = (t, sizes) => {
  for (const index of eachIndex(t.shape)) {
    const here = rowOf(promised(t, index, sizes), sizes);
    for (const cell of t.knows[at(t, index)]) {
      const there = rowOf(cell, sizes);
      if (there > here || Math.floor(there / sizes.L) !== Math.floor(here / sizes.L)) return [here, there];
    }
  }
  return null;
};

// What is to be said of a recipe so far, and the name of the mistake if it has one.
const judge = (steps, sizes) => {
  const { t, error } = steps.at(-1),
    read = steps[steps.findIndex((step) => step.chip === "attend" && !step.error) - 1]?.t,
    wrong = stray(t, sizes);
  const here = `${wrong} of ${t.memory.length} numbers stand where they should not.`;
  if (error) return { text: `PyTorch refuses. ${error}`, mistake: error === NO_VIEW ? "view_not_contiguous" : "" };
  if (!read) {
    if (t.axes !== "NHLD") return { text: "Attention wants (N, H, L, D): each head its own slice of every position." };
    return wrong
      ? { text: `The shape is right, the heads are not: ${here}`, mistake: "split_without_transpose" }
      : { text: "Each head holds its own slice of every position. Now attend." };
  }
  const along = NAMES[read.axes.at(-2)];
  const first =
    read.axes === "NHLD"
      ? stray(read, sizes)
        ? { text: "The heads read numbers of other heads and positions.", mistake: "split_without_transpose" }
        : { good: true, text: "Each head has read its own slice." }
      : read.axes === "NLE"
        ? { text: "One head has read whole rows: nothing was split." }
        : {
            text: `Attention ran from ${along} to ${along}, not from position to position.`,
            mistake: read.axes === "NLHD" ? "heads_not_transposed" : "",
          };
  if (t.axes !== "NLE") return { ...first, good: false, text: `${first.text} Now back to (N, L, E).` };
  if (!first.good)
    return {
      ...first,
      text: `${first.text} ${wrong ? here : "All numbers are back in their places, which hides it."}`,
    };
  return wrong
    ? { text: `Right split, wrong merge: ${here}`, mistake: "merge_without_transpose" }
    : { good: true, text: "Right: every head read its own slice, and every number is back in its place." };
};

const whereabouts = (t, cell, sizes) => {
  const index = eachIndex(t.shape).find((i) => t.memory[at(t, i)] === cell),
    address = at(t, index);
  const sum = index.map((i, axis) => `${i}·${t.strides[axis]}`).join(" + ");
  return `${nameOf(cell, sizes)} is at [${index.join(", ")}], memory address ${sum} = ${address}.`;
};
