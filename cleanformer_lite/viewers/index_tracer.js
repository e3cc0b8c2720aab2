// Follows single numbers through view, transpose and reshape, in the right recipe and in two wrong ones.
const product = (sizes) => sizes.reduce((a, b) => a * b, 1);
const stridesOf = (shape) => shape.map((_, axis) => product(shape.slice(axis + 1)));
const LETTERS = "abcdefghij";

// A tensor is its memory, a shape, strides, and the axis names that the recipe believes in.
const tensor = (memory, axes, sizes, strides) => {
  const shape = [...axes].map((axis) => sizes[axis]);
  return { memory, axes, shape, strides: strides ?? stridesOf(shape) };
};
const eachIndex = (shape) =>
  Array.from({ length: product(shape) }, (_, flat) => stridesOf(shape).map((stride, axis) => Math.floor(flat / stride) % shape[axis]));
const at = (t, index) => index.reduce((sum, i, axis) => sum + i * t.strides[axis], 0);
const read = (t) => eachIndex(t.shape).map((index) => t.memory[at(t, index)]);

// Swapping two axes swaps two strides; no number moves. (The four-axis letters, second and third.)
const transpose = (t, sizes) => {
  const [n, a, b, d] = t.axes, [sn, sa, sb, sd] = t.strides;
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
  if (name === "bare view") add("x.view(N, H, L, D)", view(x, "NHLD", sizes), "Wrong: view cuts memory into equal runs. It does not know what an axis means.");
  else {
    add("x.view(N, L, H, D)", view(x, "NLHD", sizes), "Each row is cut into heads. No number moves in memory.");
    add(".transpose(1, 2)", transpose(last(), sizes), "Heads before places. Two strides change places, and still no number moves.");
  }
  add("weights @ value", tensor(read(last()), "NHLD", sizes), "Attention writes a new tensor, head after head. (Every place reads itself here, so the numbers stay known.)");
  if (name !== "bare merge") add(".transpose(1, 2)", transpose(last(), sizes), "Places before heads again, by strides alone.");
  add(".reshape(N, L, E)", reshape(last(), "NLE", sizes), name === "bare merge" ? "Wrong: without a transpose, memory is still in head order, and a row takes what comes next." : "The heads side by side. The strides do not allow a view, so reshape copies.");
  return steps;
};

// What the axis names promise at an index: which number of x should stand there.
const promised = (t, index, sizes) => {
  const i = { H: 0, ...Object.fromEntries([...t.axes].map((axis, k) => [axis, index[k]])) };
  const feature = t.axes.includes("E") ? i.E : i.H * sizes.D + i.D;
  return (i.N * sizes.L + i.L) * sizes.E + feature;
};
const stray = (t, sizes) => eachIndex(t.shape).filter((index) => t.memory[at(t, index)] !== promised(t, index, sizes)).length;
const nameOf = (cell, sizes) => LETTERS[Math.floor(cell / sizes.E)] + (cell % sizes.E);

const sentence = (t, sizes) => {
  const wrong = stray(t, sizes), all = product(t.shape);
  if (!wrong) return `All ${all} numbers stand where the axes say.`;
  const mixed = new Set(eachIndex(t.shape).filter((index) => Math.floor(t.memory[at(t, index)] / sizes.E) !== Math.floor(promised(t, index, sizes) / sizes.E))
    .map((index) => LETTERS[Math.floor(promised(t, index, sizes) / sizes.E)]).sort());
  return `${wrong} of ${all} numbers do not stand where the axes say.` + (mixed.size ? ` Places that hold another place's numbers: ${[...mixed].join(", ")}.` : "");
};

const whereabouts = (t, cell, sizes) => {
  const index = eachIndex(t.shape).find((i) => t.memory[at(t, i)] === cell), place = at(t, index);
  const sum = index.map((i, axis) => `${i}·${t.strides[axis]}`).join(" + ");
  return `${nameOf(cell, sizes)} is at [${index.join(", ")}], memory place ${sum} = ${place}.`;
};

const AXIS = { N: "sequence", L: "place", H: "head" };
const label = (axis, i, outer, sizes) => AXIS[axis] + " " + (axis === "L" ? LETTERS[outer * sizes.L + i] : i);

const cellButton = (t, index, model, sizes) => {
  const cell = t.memory[at(t, index)], wrong = cell !== promised(t, index, sizes);
  return make("button", {
    class: "cell mono" + (wrong ? " stray" : ""), "data-key": "cell" + cell, "aria-pressed": String(model.get("followed") === cell),
    "aria-label": `${nameOf(cell, sizes)} at ${index.join(", ")}${wrong ? ", astray" : ""}`,
    style: `--hue: ${Math.floor(cell / sizes.E) * 79 + 30}`, onclick: () => put(model, "followed", cell),
  }, nameOf(cell, sizes) + (wrong ? "!" : ""));
};

// Blocks of rows: the last axis runs along a row, the one before it down, the others are blocks.
const blocks = (t, model, sizes) => {
  const rows = t.shape.at(-2), outer = eachIndex(t.shape.slice(0, -2));
  return outer.map((head) => {
    const title = head.map((i, k) => (k === 0 && sizes.N === 1 ? "" : label(t.axes[k], i, head[0], sizes))).filter(Boolean).join(", ");
    return make("div", { class: "block" }, title ? make("div", { class: "title" }, title) : null,
      ...Array.from({ length: rows }, (_, row) => make("div", { class: "line" },
        make("span", { class: "row-name" }, label(t.axes.at(-2), row, head[0], sizes)),
        ...Array.from({ length: t.shape.at(-1) }, (_, column) => cellButton(t, [...head, row, column], model, sizes)))));
  });
};

// Cells glide from where they stood, unless the reader asked for calm.
const glide = (stage, paint) => {
  const spots = () => new Map([...stage.querySelectorAll(".cell")].map((node) => [node.dataset.key, node]));
  const before = new Map([...spots()].map(([key, node]) => [key, node.getBoundingClientRect()]));
  paint();
  if (calm()) return;
  for (const [key, node] of spots()) {
    const old = before.get(key), now = node.getBoundingClientRect();
    if (old) node.animate([{ transform: `translate(${old.x - now.x}px, ${old.y - now.y}px)` }, { transform: "none" }], { duration: 450, easing: "ease-in-out" });
  }
};

export default {
  render({ model, el }) {
    const sizes = () => {
      const [N, L, H, D] = model.get("sizes");
      return { N, L, H, D, E: H * D };
    };
    const steps = () => recipe(model.get("recipe"), sizes());
    const current = () => Math.min(model.get("step"), steps().length - 1);
    const go = (step) => put(model, "step", Math.max(0, Math.min(steps().length - 1, step)));
    const list = make("div", { class: "viewer-row", role: "group", "aria-label": "Steps" });
    const back = make("button", { onclick: () => go(current() - 1) }, "← Back");
    const next = make("button", { onclick: () => go(current() + 1) }, "Next →");
    const facts = make("p", { class: "mono facts" });
    const stage = make("div", { class: "wide stage", role: "group", "aria-label": "Tensor: arrow keys move, Enter follows a number" });
    const memory = make("div", { class: "wide memory", role: "group", "aria-label": "Memory, front to back", tabindex: 0 });
    const says = make("p", { class: "says", "aria-live": "polite" });
    const stepStop = arrows(list), cellStop = arrows(stage, () => steps()[current()][1].shape.at(-1));

    const paint = () => {
      const all = steps(), step = current(), s = sizes(), [, t, note] = all[step];
      redraw(list, ...all.map(([code], i) => make("button", { class: "mono", "data-key": "step" + i, "aria-current": i === step && "step", onclick: () => go(i) }, `${i} ${code}`)));
      back.disabled = step === 0;
      next.disabled = step === all.length - 1;
      facts.textContent = `shape (${t.shape.join(", ")})   strides (${t.strides.join(", ")})   ${contiguous(t) ? "contiguous" : "not contiguous"}`;
      redraw(stage, ...blocks(t, model, s));
      const followed = model.get("followed");
      memory.replaceChildren(...t.memory.map((cell) => make("span", { class: "mono byte" + (cell === followed ? " here" : ""), style: `--hue: ${Math.floor(cell / s.E) * 79 + 30}` }, nameOf(cell, s))));
      says.textContent = [note, sentence(t, s), t.memory.includes(followed) ? whereabouts(t, followed, s) : ""].join(" ");
      stepStop();
      cellStop();
    };
    const draw = () => glide(stage, paint);
    const resize = (axis, size) => put(model, "sizes", model.get("sizes").map((old, i) => (i === axis ? size : old)));
    const spinners = [["N", 2], ["L", 5], ["H", 4], ["D", 4]].map(([axis, most], i) => make("select", { "aria-label": "size " + axis, onchange: (event) => resize(i, Number(event.target.value)) },
      ...Array.from({ length: most }, (_, n) => make("option", { value: n + 1 }, n + 1))));
    const sized = () => spinners.forEach((spinner, i) => (spinner.value = model.get("sizes")[i]));

    el.classList.add("viewer");
    el.append(
      choice("Recipe", [["right", "right"], ["bare view", "bare view"], ["bare merge", "merge without transposing back"]], model, "recipe"),
      make("div", { class: "viewer-row" }, "Sizes:", ...spinners.map((spinner, i) => make("label", {}, "NLHD"[i] + " ", spinner))),
      list, make("div", { class: "viewer-row" }, back, next), facts, stage,
      make("p", {}, "Memory, front to back:"), memory, says);
    sized();
    paint();
    model.on("change:sizes", sized);
    for (const trait of ["recipe", "step", "followed", "sizes"]) model.on("change:" + trait, draw);
  },
};
