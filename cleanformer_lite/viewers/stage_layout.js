// Where everything stands at each step. One rule holds throughout: what is multiplied stands to the
// left and above, and the product where they cross. Lengths are pixels before the camera's zoom.
const C = 34, // a cell
  GAP = 7, // between heads
  AIR = 14, // between tensors
  NAME = 46, // the words at the left
  TITLE = 22;

const layout = (step, state, all, narrow, shown) => {
  const { L, E, A, D, H, sliced } = all;
  const cells = new Map(),
    notes = new Map(),
    boxes = new Map();
  const note = (key, text, x, y, kind = "title", w = 0) => notes.set(key, { text, x, y, kind, w });
  // Numbers of a row: all of x's together, unless heads read slices; those of heads apart.
  const gapA = (a) => Math.floor(a / D) * GAP,
    gapE = (e) => (sliced ? Math.floor((e * H) / E) * GAP : 0),
    none = () => 0;
  const wide = (n, gap) => n * C + gap(n - 1);
  const grid = (name, height, width, x, y, gapX = none, gapY = none, first = [0, 0], flip = false) => {
    for (const i of range(height))
      for (const j of range(width)) {
        const at = flip ? [first[1] + j, first[0] + i] : [first[0] + i, first[1] + j];
        cells.set(`${name}.${at.join(".")}`, [x + j * C + gapX(j), y + i * C + gapY(i)]);
      }
  };
  const box = (key, head, x, y, w, h) => boxes.set(key, { head, x: x - 3, y: y - 3, w: w + 4, h: h + 4 });
  const names = (key, x, y) =>
    state.words.forEach((word, i) => note(`${key}.${i}`, word, x, y + i * C, "word", NAME - 6));
  // One bracket around all heads before the split, one around each after it and in a loop.
  const whole = state.mode === "split" && "WxXqkv".includes(step);
  const columns = (key, x, y, height, bracket = true) =>
    bracket &&
    H > 1 &&
    range(H).forEach((h) =>
      whole
        ? box(`${key}.${h}`, -1, x, y, wide(A, gapA), height)
        : box(`${key}.${h}`, h, x + wide(h * D, none) + h * GAP, y, D * C, height),
    );
  const slices = (y) =>
    sliced && range(H).forEach((h) => box(`x.${h}`, h, NAME + h * ((E / H) * C + GAP), y, (E / H) * C, L * C));
  const biasHeight = (name) => (state.biases[name] ? 1 : 0);
  const lanes = (width, height, draw) => {
    const across = narrow ? 1 : Math.min(H, 2);
    range(H).forEach((h) => {
      const x = (h % across) * (width + 44),
        y = Math.floor(h / across) * (height + 30);
      if (H > 1) note(`head.${h}`, `head ${h}` + (all.on(h) ? "" : ", silenced"), x, y, "head h" + h, width);
      draw(h, x, y + (H > 1 ? TITLE : 0));
    });
  };

  const draw = {
    words() {
      state.words.forEach((word, i) => note(`word.${i}`, word, i * 92, 0, "chip", 80));
      range(L).forEach((i) => range(E).forEach((e) => cells.set(`x.${i}.${e}`, null)));
    },
    x() {
      note("t.x", "x", NAME, 0, "title");
      names("word", 0, TITLE);
      grid("x", L, E, NAME, TITLE, gapE);
      if (!state.weights.o) return;
      const y = TITLE + L * C + 74,
        each = Math.max(165, (wide(E, gapE) + 2 * NAME) / H),
        left = NAME + wide(E, gapE) / 2 - (each * H) / 2;
      range(H).forEach((h) => note(`pill.${h}`, `head ${h}`, left + (h + 0.5) * each - 75, y, "pill h" + h, 150));
      slices(TITLE);
    },
    W() {
      const low = Math.max(...["q", "k", "v"].map(biasHeight)),
        height = wide(E, gapE) + (low ? C + 6 : 0),
        y = TITLE + height + AIR;
      note("t.x", "x", NAME, y - TITLE);
      names("word", 0, y);
      grid("x", L, E, NAME, y, gapE);
      slices(y);
      ["q", "k", "v"].forEach((name, at) => {
        if (narrow && name !== shown) return;
        const x = NAME + wide(E, gapE) + AIR + (narrow ? 0 : at * (wide(A, gapA) + AIR + 2));
        note(`t.w${name}`, `W_${name.toUpperCase()}`, x, 0, "title " + name);
        grid(`w${name}`, E, A, x, TITLE, gapA, gapE);
        if (biasHeight(name)) grid(`b${name}`, 1, A, x, TITLE + wide(E, gapE) + 6, gapA);
        if (!sliced) columns(`w${name}`, x, TITLE, wide(E, gapE));
        else
          range(H).forEach((h) =>
            box(`w${name}.${h}`, h, x + h * (D * C + GAP), TITLE + h * ((E / H) * C + GAP), D * C, (E / H) * C),
          );
        if (step !== "qkv") return;
        note(`t.${name}`, name, x, y + L * C + 3, "title " + name);
        grid(name, L, A, x, y, gapA);
        columns(name, x, y, L * C);
      });
    },
    qkv: () => draw.W(),
    split() {
      const width = D * C;
      lanes(NAME + 3 * width + 2 * AIR, TITLE + L * C, (h, x, y) => {
        names(h ? `word${h}` : "word", x, y + TITLE);
        ["q", "k", "v"].forEach((name, at) => {
          const left = x + NAME + at * (width + AIR);
          note(`t.${name}${h || ""}`, name, left, y, "title " + name);
          grid(name, L, D, left, y + TITLE, none, none, [0, h * D]);
          box(`${name}.${h}`, h, left, y + TITLE, width, L * C);
        });
      });
    },
    scores() {
      const up = D * C + AIR;
      lanes(NAME + D * C + AIR + L * C, TITLE + up + L * C, (h, x, y) => {
        const left = x + NAME + D * C + AIR,
          low = y + TITLE + up;
        names(h ? `word${h}` : "word", x, low);
        state.words.forEach((word, j) => note(`key${h}.${j}`, word, left + j * C - 2, y + 3, "above", C + 4));
        note(`t.q${h || ""}`, "q", x + NAME, low - TITLE, "title q");
        note(`t.k${h || ""}`, "k", left - 16, y + TITLE, "side k");
        grid("q", L, D, x + NAME, low, none, none, [0, h * D]);
        grid("k", D, L, left, y + TITLE, none, none, [h * D, 0], true);
        grid(`s.${h}`, L, L, left, low);
        box(`s.${h}`, h, left, low, L * C, L * C);
      });
    },
    mask: () => draw.scores(),
    softmax() {
      draw.scores();
    },
    values() {
      const up = L * C + AIR;
      lanes(NAME + L * C + AIR + D * C, TITLE + up + L * C, (h, x, y) => {
        const left = x + NAME + L * C + AIR,
          low = y + TITLE + up;
        names(h ? `word${h}` : "word", x, low);
        state.words.forEach((word, j) =>
          note(`key${h}.${j}`, word, left - NAME - 4, y + TITLE + j * C, "word", NAME - 6),
        );
        note(`t.s${h || ""}`, "shares", x + NAME, low - TITLE);
        note(`t.v${h || ""}`, "v", left, y, "title v");
        grid(`s.${h}`, L, L, x + NAME, low);
        grid("v", L, D, left, y + TITLE, none, none, [0, h * D]);
        grid("o", L, D, left, low, none, none, [0, h * D]);
        box(`o.${h}`, h, left, low, D * C, L * C);
      });
    },
    merge() {
      note("t.o", "heads side by side", NAME, 0);
      names("word", 0, TITLE);
      grid("o", L, A, NAME, TITLE, gapA);
      columns("o", NAME, TITLE, L * C);
    },
    W_O() {
      const left = NAME + wide(A, gapA) + AIR,
        high = wide(A, gapA) + (biasHeight("o") ? C + 6 : 0),
        low = TITLE + high + AIR;
      names("word", 0, low);
      note("t.o", "heads", NAME, low - TITLE);
      note("t.wo", "W_O", left, 0);
      grid("o", L, A, NAME, low, gapA);
      columns("o", NAME, low, L * C);
      grid("wo", A, E, left, TITLE, none, gapA);
      if (biasHeight("o")) grid("bo", 1, E, left, TITLE + wide(A, gapA) + 6);
      range(H).forEach((h) => H > 1 && box(`wo.${h}`, h, left, TITLE + h * (D * C + GAP), E * C, D * C));
      grid("y", L, E, left, low);
      note("t.y", "output", left + E * C + 8, low, "side");
    },
    output() {
      const apart = 34;
      const sum = [...range(H).map((h) => `p.${h}`), ...(biasHeight("o") ? ["bo"] : []), "y"];
      let x = NAME,
        y = TITLE;
      sum.forEach((name, at) => {
        const bias = name === "bo",
          head = name[0] === "p" ? Number(name[2]) : -1;
        if (narrow) names(at ? `word${at}` : "word", 0, y);
        else if (!at) names("word", 0, y);
        const [ox, oy] = narrow ? [x - apart, y - TITLE] : [x - apart, y + (L * C) / 2 - 14];
        if (at) note(`op.${name}`, name === "y" ? "=" : "+", ox, oy, "op", apart);
        note(
          `t.${name}`,
          bias ? "bias" : head < 0 ? "output" : `part of head ${head}` + (all.on(head) ? "" : ": silenced"),
          x, y - TITLE, "title h" + head,
        ); // prettier-ignore
        grid(name, bias ? 1 : L, E, x, y);
        if (head >= 0) box(name, head, x, y, E * C, L * C);
        if (narrow) y += L * C + TITLE + 12;
        else x += E * C + apart;
      });
    },
  };
  draw[step]();
  // The picture's own edges, for the camera.
  const edges = [];
  cells.forEach((at) => at && edges.push([at[0], at[1], at[0] + C, at[1] + C]));
  notes.forEach(({ x, y, w, kind, text }) =>
    edges.push([x, y, x + (w || text.length * 8), y + (kind === "chip" || kind.startsWith("pill") ? 40 : TITLE)]),
  );
  const left = Math.min(...edges.map((e) => e[0])) - 4,
    top = Math.min(...edges.map((e) => e[1])) - 4;
  const width = Math.max(...edges.map((e) => e[2])) - left + 6,
    height = Math.max(...edges.map((e) => e[3])) - top + 6;
  return { cells, notes, boxes, left, top, width, height };
};
