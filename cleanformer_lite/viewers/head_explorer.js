// A grid of heads to pick from, switch off and sharpen, and what one token reads in each.
// A weight to the power 1/T, shared out again, is the softmax of the scores divided by T.
const share = (logs, temperature) => {
  const powers = logs.map((log) => (log == null ? 0 : Math.exp(log / temperature)));
  const total = powers.reduce((a, b) => a + b, 0);
  return total ? powers.map((power) => power / total) : powers;
};
const mean = (rows) => rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
const percent = (share) => (100 * share).toFixed(1) + " %";

export default {
  render({ model, el }) {
    const group = () => model.get("groups")[model.get("group")];
    // A group may have fewer heads and tokens than the one before.
    const head = () => Math.min(model.get("head"), group().logs.length - 1);
    const word = () => Math.min(model.get("word"), group().tokens.length - 1);
    const heads = () => group().logs.map((head) => head.map((row) => share(row, model.get("temperature"))));
    const isOn = (head) => !model.get("off").includes(head);
    const flip = (head) =>
      put(
        model,
        "off",
        isOn(head)
          ? [...model.get("off"), head].sort((a, b) => a - b)
          : model.get("off").filter((other) => other !== head),
      );
    const layers = make("div", {
      class: "viewer-row",
      role: "group",
      "aria-label": "Groups of heads: arrow keys move, Enter picks",
    });
    const grid = make("div", {
      class: "heads",
      role: "group",
      "aria-label": "Heads: arrow keys move, Enter picks, a box switches one off",
    });
    const words = make("div", { class: "wide words", role: "group", "aria-label": "Tokens that ask: arrow keys move" });
    const reads = make("div", { class: "wide", role: "region", "aria-label": "What the token reads", tabindex: 0 });
    const says = make("p", { class: "says", "aria-live": "polite" });
    const layerStop = arrows(layers),
      headStop = arrows(grid),
      wordStop = arrows(words);

    const drawLayers = () => {
      const all = model.get("groups");
      redraw(
        layers,
        ...(all.length > 1 ? all : []).map(({ name }, i) =>
          make(
            "button",
            {
              "data-key": "layer" + i,
              "aria-pressed": String(i === model.get("group")),
              onclick: () => put(model, "group", i),
            },
            name,
          ),
        ),
      );
      layerStop();
    };

    const drawGrid = (all) => {
      redraw(
        grid,
        ...all.map((weights, i) =>
          make(
            "div",
            { class: "head" + (isOn(i) ? "" : " off") },
            make(
              "button",
              {
                "data-key": "head" + i,
                "aria-pressed": String(i === head()),
                "aria-label": `head ${i}`,
                onclick: () => put(model, "head", i),
              },
              thumbnail(weights),
              `head ${i}`,
            ),
            make(
              "label",
              {},
              make("input", {
                type: "checkbox",
                "data-box": i,
                "aria-label": `head ${i} on`,
                onchange: () => flip(i),
              }),
              "on",
            ),
          ),
        ),
      );
      grid.querySelectorAll("input").forEach((box, head) => (box.checked = isOn(head)));
      headStop();
    };
    const pickWord = (i) => i !== word() && put(model, "word", i);
    const drawWords = () => {
      redraw(
        words,
        ...group().tokens.map((token, i) =>
          make(
            "button",
            {
              "data-key": "word" + i,
              "aria-pressed": String(i === word()),
              onclick: () => pickWord(i),
              onfocus: () => pickWord(i),
              onmouseenter: () => pickWord(i),
            },
            token,
          ),
        ),
      );
      wordStop();
    };
    const bar = (value, digits) =>
      make(
        "td",
        { "data-share": value.toFixed(7) },
        make("span", { class: "bar", style: `--share: ${value}` }),
        " " + percent(value),
      );
    const drawReads = (all) => {
      const { name, tokens, key_tokens: keys } = group(),
        token = tokens[word()];
      const on = all.filter((_, i) => isOn(i)),
        row = all[head()][word()];
      const average = on.length ? mean(on.map((weights) => weights[word()])) : null;
      reads.replaceChildren(
        make(
          "table",
          {},
          make("caption", {}, `What “${token}” reads`),
          make(
            "thead",
            {},
            make(
              "tr",
              {},
              make("th", { scope: "col" }, "token"),
              make("th", { scope: "col" }, `head ${head()}`),
              average && make("th", { scope: "col" }, `mean of ${on.length} on`),
            ),
          ),
          make(
            "tbody",
            {},
            ...keys.map((key, i) =>
              make("tr", {}, make("th", { scope: "row" }, key), bar(row[i]), average && bar(average[i])),
            ),
          ),
        ),
      );
      const best = row
        .map((value, i) => [value, keys[i]])
        .sort((a, b) => b[0] - a[0])
        .slice(0, 3)
        .filter(([value]) => value > 0);
      says.textContent =
        (name && name + ". ") +
        `Head ${head()}, temperature ${model.get("temperature").toFixed(1)}: “${token}” reads ` +
        (best.length ? best.map(([value, key]) => `“${key}” ${percent(value)}`).join(", ") : "nothing, all is masked") +
        `. ${on.length} of ${all.length} heads are on.`;
    };
    const drawAll = () => {
      const all = heads();
      drawLayers();
      drawGrid(all);
      drawWords();
      drawReads(all);
    };
    // Drawn again, a box would lose the focus: the heads' looks change, the boxes stay.
    const switched = () => {
      grid.querySelectorAll(".head").forEach((node, head) => {
        node.classList.toggle("off", !isOn(head));
        node.querySelector("input").checked = isOn(head);
      });
      drawReads(heads());
    };
    const mark = (group, at) =>
      [...group.querySelectorAll("[data-key]")].forEach((node, i) =>
        node.setAttribute("aria-pressed", String(i === at)),
      );
    const moved = () => {
      mark(grid, head());
      mark(words, word());
      drawReads(heads());
    };
    // As Python does.
    const entered = () => {
      model.set("head", head());
      model.set("word", word());
      model.set("off", []);
      drawAll();
    };
    frame(el);
    el.append(
      layers,
      grid,
      slider("Temperature", model, "temperature", { min: 0.2, max: 4, step: 0.1 }, (value) => value.toFixed(1)),
      make("p", {}, "Point at a token, tap it, or move with the arrow keys:"),
      words,
      says,
      reads,
    );
    drawAll();
    for (const trait of ["groups", "temperature"]) model.on("change:" + trait, drawAll);
    model.on("change:group", entered);
    for (const trait of ["head", "word"]) model.on("change:" + trait, moved);
    model.on("change:off", switched);
  },
};
