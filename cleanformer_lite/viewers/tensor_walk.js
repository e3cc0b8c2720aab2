// Tensors as torch has them: memory, a shape and strides; and the three recipes as steps of these.
const product = (sizes) => sizes.reduce((a, b) => a * b, 1);
const stridesOf = (shape) => shape.map((_, axis) => product(shape.slice(axis + 1)));
const LETTERS = "abcdefghij";

// A tensor is its memory, a shape, strides, and the axis names that the recipe believes in.
const tensor = (memory, axes, sizes, strides) => {
  const shape = [...axes].map((axis) => sizes[axis]);
  return { memory, axes, shape, strides: strides ?? stridesOf(shape) };
};
const eachIndex = (shape) =>
  Array.from({ length: product(shape) }, (_, flat) =>
    stridesOf(shape).map((stride, axis) => Math.floor(flat / stride) % shape[axis]),
  );
const at = (t, index) => index.reduce((sum, i, axis) => sum + i * t.strides[axis], 0);
const read = (t) => eachIndex(t.shape).map((index) => t.memory[at(t, index)]);

// Swapping two axes swaps two strides; no number moves. (The four-axis letters, second and third.)
const transpose = (t, sizes) => {
  const [n, a, b, d] = t.axes,
    [sn, sa, sb, sd] = t.strides;
  return tensor(t.memory, n + b + a + d, sizes, [sn, sb, sa, sd]);
};
const contiguous = (t) => String(t.strides) === String(stridesOf(t.shape));
const view = (t, axes, sizes) => tensor(t.memory, axes, sizes);
const reshape = (t, axes, sizes) => tensor(contiguous(t) ? t.memory : read(t), axes, sizes);

const recipe = (name, sizes) => {
  const x = tensor([...Array(sizes.N * sizes.L * sizes.E).keys()], "NLE", sizes);
  const steps = [["x", x, "The input: one row a place. In memory the rows follow each other."]];
  const add = (code, t, note) => steps.push([code, t, note]);
  const last = () => steps[steps.length - 1][1];
  if (name === "bare view")
    add(
      "x.view(N, H, L, D)",
      view(x, "NHLD", sizes),
      "Wrong: view cuts memory into equal runs. It does not know what an axis means.",
    );
  else {
    add("x.view(N, L, H, D)", view(x, "NLHD", sizes), "Each row is cut into heads. No number moves in memory.");
    add(
      ".transpose(1, 2)",
      transpose(last(), sizes),
      "Heads before places. Two strides change places, and still no number moves.",
    );
  }
  add(
    "weights @ value",
    tensor(read(last()), "NHLD", sizes),
    "Attention writes a new tensor, head after head. (Every place reads itself here, so the numbers stay known.)",
  );
  if (name !== "bare merge")
    add(".transpose(1, 2)", transpose(last(), sizes), "Places before heads again, by strides alone.");
  add(
    ".reshape(N, L, E)",
    reshape(last(), "NLE", sizes),
    name === "bare merge"
      ? "Wrong: without a transpose, memory is still in head order, and a row takes what comes next."
      : "The heads side by side. The strides do not allow a view, so reshape copies.",
  );
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
const nameOf = (cell, sizes) => LETTERS[Math.floor(cell / sizes.E)] + (cell % sizes.E);

const sentence = (t, sizes) => {
  const wrong = stray(t, sizes),
    all = product(t.shape);
  if (!wrong) return `All ${all} numbers stand where the axes say.`;
  const mixed = new Set(
    eachIndex(t.shape)
      .filter(
        (index) => Math.floor(t.memory[at(t, index)] / sizes.E) !== Math.floor(promised(t, index, sizes) / sizes.E),
      )
      .map((index) => LETTERS[Math.floor(promised(t, index, sizes) / sizes.E)])
      .sort(),
  );
  return (
    `${wrong} of ${all} numbers do not stand where the axes say.` +
    (mixed.size ? ` Places that hold another place's numbers: ${[...mixed].join(", ")}.` : "")
  );
};

const whereabouts = (t, cell, sizes) => {
  const index = eachIndex(t.shape).find((i) => t.memory[at(t, i)] === cell),
    place = at(t, index);
  const sum = index.map((i, axis) => `${i}·${t.strides[axis]}`).join(" + ");
  return `${nameOf(cell, sizes)} is at [${index.join(", ")}], memory place ${sum} = ${place}.`;
};
