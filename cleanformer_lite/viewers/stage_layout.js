// Where everything stands at each step. One rule holds throughout: what is multiplied stands to the
// left and above, and the product where they cross. Lengths are pixels before the camera's zoom.
const C = 34, // a cell
  GAP = 7, // between heads
  AIR = 14, // between tensors
  RIM = 3, // a bracket, on each side of what it holds
  NAME = 46, // the words at the left
  TITLE = 22;
// At each step: what stands at the left, what above or in a row, and the products.
const CROSSES = {
  x: ["", "x"],
  W: ["x", "wq wk wv"],
  qkv: ["x", "wq wk wv", "q k v"],
  split: ["", "q k v"],
  scores: ["q", "k", "s"],
  values: ["s", "v", "o"],
  merge: ["", "o"],
  W_O: ["o", "wo", "y"],
};
CROSSES.mask = CROSSES.softmax = CROSSES.scores;
const BY_HEADS = "split scores mask softmax values".split(" ");

const around = (boxes) => {
  const x = Math.min(...boxes.map((box) => box.x)),
    y = Math.min(...boxes.map((box) => box.y));
  const w = Math.max(...boxes.map((box) => box.x + box.w)) - x,
    h = Math.max(...boxes.map((box) => box.y + box.h)) - y;
  return { x, y, w, h };
};

const layout = (step, state, all, narrow, shown) => {
  const { L, E, H, sliced, axes } = all;
  const blocks = new Map(), // parts of tensors, whose cells move together
    notes = new Map();
  const note = (key, text, x, y, kind, w, h = TITLE) => notes.set(key, { text, x, y, kind, w, h });
  const words = (key, x, y) => note(key, state.words, x, y, "names", NAME - 6, L * C);
  const ofHead = (head) => (name) => (name === "s" ? `s.${head}` : name);
  const title = (name, head, where = "over") => {
    const lead = blocks.get(`${name}.0.${head > 0 && axes[name][1] === "A" ? head : 0}`);
    Object.assign(lead, { title: titleOf(name, all, step), where });
  };

  // The numbers of heads are cut into heads; those of x are cut where heads read slices.
  const axis = (letter) => {
    const cut = "EA".includes(letter) ? H : 1;
    return { cut, each: (all.sizes[letter] / cut) * C, gap: letter === "A" || sliced ? GAP : 0 };
  };
  const sizeOf = (name, head = -1) =>
    [...axes[name]].map(axis).map(({ cut, each, gap }, i) =>
      head >= 0 && axes[name][i] === "A" ? each : cut * (each + gap) - gap,
    ); // prettier-ignore
  // Puts a tensor on the board, or one head's part of it, rows and columns exchanged if it is turned.
  const place = (name, x, y, head = -1, turned = false) => {
    const [first, last] = [...axes[name]];
    const [down, across] = [axis(first), axis(last)];
    for (const i of range(down.cut))
      for (const j of range(across.cut)) {
        const alone = head >= 0 && last === "A";
        if (alone && j !== head) continue;
        const [w, h] = turned ? [down.each, across.each] : [across.each, down.each];
        const owner = Number(name.split(".")[1] ?? (name === "wo" ? i : last === "A" || (sliced && name === "x") ? j : -1));
        blocks.set(`${name}.${i}.${j}`, {
          name, turned, w, h, head: H > 1 ? owner : -1, first: [(i * down.each) / C, (j * across.each) / C],
          empty: sliced && last === "A" && first === "E" && i !== j,
          x: x + (alone ? 0 : j * (across.each + across.gap)), y: y + i * (down.each + down.gap),
        }); // prettier-ignore
      }
  };

  const cross = ([left, above, product = ""], head, x0, y0) => {
    const [aboves, products] = [above, product].map((names) =>
      names.split(" ").filter((name) => name && (left !== "x" || !narrow || name.endsWith(shown))).map(ofHead(head)),
    ); // prettier-ignore
    const turned = above === "k",
      top = y0 + TITLE;
    const [tall] = turned ? sizeOf("k", head).reverse() : sizeOf(aboves[0], head);
    const bias = above[0] === "w" && axes[aboves[0].replace("w", "b")];
    const low = left ? top + tall + AIR + (bias ? C + 6 : 0) : top;
    let x = x0 + NAME;
    words(`words${head}`, x0, low);
    if (left) {
      const name = ofHead(head)(left);
      place(name, x, low, head);
      title(name, head);
      x += sizeOf(name, head)[1] + AIR;
    }
    aboves.forEach((name, at) => {
      place(name, x, top, head, turned);
      title(name, head, turned ? "side" : "over");
      if (bias) place(name.replace("w", "b"), x, top + tall + 6);
      if (turned) note(`keys${head}`, state.words, x - 2, y0 + 2, "keys", L * C + 4);
      if (above === "v") words(`keys${head}`, x - NAME - 4, top);
      if (products[at]) {
        place(products[at], x, low, head);
        title(products[at], head, "under");
      }
      x += sizeOf(products[at] ?? name, head)[1] + AIR + 2;
    });
    return { w: x - x0 - AIR - 2, h: low + L * C - y0 + (product ? TITLE : 0) };
  };
  const lanes = () => {
    const across = narrow ? 1 : 2;
    let box = { w: 0, h: 0 };
    for (const h of range(H)) {
      const x = (h % across) * (box.w + 44),
        y = Math.floor(h / across) * (box.h + 40);
      box = cross(CROSSES[step], h, x, y + (H > 1 ? TITLE : 0));
      if (H > 1) note(`head${h}`, `head ${h}` + (all.on(h) ? "" : ", silenced"), x, y, `head h${h}`, box.w);
    }
  };
  const sum = () => {
    const parts = [...range(H).map((h) => `p.${h}`), ...(axes.bo ? ["bo"] : []), "y"];
    let [x, y] = [NAME, TITLE];
    parts.forEach((name, at) => {
      if (narrow || !at) words(`words${at - 1}`, 0, y);
      if (at) note(`op ${name}`, name === "y" ? "=" : "+", x - C, narrow ? y - TITLE : y + (L * C) / 2 - 14, "op", C);
      place(name, x, y);
      title(name);
      if (narrow) y += L * C + TITLE + 12;
      else x += E * C + C;
    });
  };

  if (step === "words") note("words-1", state.words, 0, 0, "chips", L * 92, 40);
  else if (step === "output") sum();
  else if (BY_HEADS.includes(step)) lanes();
  else cross(CROSSES[step], -1, 0, 0);
  if (step === "x" && axes.y) {
    const each = Math.max(165, (sizeOf("x")[1] + 2 * NAME) / H),
      left = NAME + sizeOf("x")[1] / 2 - (each * H) / 2;
    for (const h of range(H))
      note(`pill${h}`, `head ${h}`, left + (h + 0.5) * each - 75, TITLE + L * C + 74, `pill h${h}`, 150, 40);
  }
  // One bracket around all heads before the split, one around each after it, in a loop and in slices.
  const whole = state.mode === "split" && (step === "W" || step === "qkv");
  const owned = [...blocks.values()].filter(({ head, name, empty }) => head >= 0 && name[0] !== "b" && !empty);
  for (const one of owned) {
    const mine = owned.filter(({ name, head }) => name === one.name && (whole || head === one.head));
    one.bracket = around(mine);
  }
  const edges = [...blocks.values()].map(({ x, y, w, h, title, where }) =>
    title ? { x, y: where === "over" ? y - TITLE : y, w, h: h + TITLE } : { x, y, w, h },
  ); // prettier-ignore
  const { x, y, w, h } = around([...edges, ...notes.values()]);
  return { step, blocks, notes, whole, x: x - RIM, y: y - RIM, w: w + 2 * RIM, h: h + 2 * RIM };
};
// Where each number stands.
const spotsOf = ({ blocks }) =>
  [...blocks.values()].flatMap(({ name, x, y, w, h, first, turned }) =>
    range(h / C).flatMap((r) =>
      range(w / C).map((c) => {
        const [i, j] = turned ? [c, r] : [r, c];
        return [`${name}.${first[0] + i}.${first[1] + j}`, [x + c * C, y + r * C]];
      }),
    ),
  );
