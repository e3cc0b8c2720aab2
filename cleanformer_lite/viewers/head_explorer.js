// A grid of heads to pick from, switch off and sharpen, and what one token reads in each.
// A weight to the power 1/T, shared out again, is the softmax of the scores divided by T.
const share = (logs, temperature) => {
  const powers = logs.map((log) => (log == null ? 0 : Math.exp(log / temperature)));
  const total = powers.reduce((a, b) => a + b, 0);
  return total ? powers.map((power) => power / total) : powers;
};
const mean = (map) => map[0].map((_, i) => map.reduce((sum, row) => sum + row[i], 0) / map.length);
const percent = (share) => (100 * share).toFixed(1) + " %";

// Equal words are told apart by their position.
const labels = (words) =>
  words.map((word, i) => (words.filter((other) => other === word).length > 1 ? `${word} (${i})` : word));

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
    const map = make("div", { class: "big-map", role: "group", tabindex: 0 });
    const model_says = make("p", { class: "model-says", "aria-live": "polite" });
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
    const key = () => Math.min(model.get("key"), group().key_tokens.length - 1);
    const pickCell = (row, column) => {
      const inside = (i, n) => Math.max(0, Math.min(n - 1, i));
      model.set("word", inside(row, group().tokens.length));
      put(model, "key", inside(column, group().key_tokens.length));
    };
    map.addEventListener("click", (event) => {
      const box = map.querySelector("canvas").getBoundingClientRect();
      const [queries, keys] = [group().tokens.length, group().key_tokens.length];
      pickCell(
        Math.floor(((event.clientY - box.top) / box.height) * queries),
        Math.floor(((event.clientX - box.left) / box.width) * keys),
      );
    });
    map.addEventListener("keydown", (event) => {
      const way = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
      if (!way) return;
      event.preventDefault();
      pickCell(word() + way[0], key() + way[1]);
    });
    const drawMap = (all) => {
      const [queries, keys] = [group().tokens.length, group().key_tokens.length],
        part = (i, n) => `${(100 * i) / n}%`;
      const at = key() < 0 ? `left: 0; width: 100%` : `left: ${part(key(), keys)}; width: ${part(1, keys)}`;
      map.setAttribute("aria-label", `Map of head ${head()}, queries downwards and keys to the right: arrow keys move`);
      map.replaceChildren(
        thumbnail(all[head()]),
        make("div", { class: "spot-on-map", style: `top: ${part(word(), queries)}; height: ${part(1, queries)}; ${at}` }),
      );
      map.style.width = `min(100%, ${Math.max(12, Math.min(22, keys * 1.6))}em)`;
      map.firstChild.style.aspectRatio = `${keys} / ${queries}`;
    };
    const drawModelSays = () => {
      const texts = group().says,
        off = model.get("off");
      model_says.hidden = !texts.length;
      if (!texts.length) return;
      const text = off.length === 0 ? texts[0] : off.length === 1 ? texts[1 + off[0]] : null;
      model_says.textContent =
        off.length === 0
          ? `With all heads the model says: ${text}`
          : text === null
            ? "More than one head is off: what the model then says was not recorded."
            : `Without head ${off[0]} the model says: ${text}` + (text === texts[0] ? " (the same)" : "");
      model_says.classList.toggle("changed", text !== null && text !== texts[0]);
    };
    const drawWords = () => {
      redraw(
        words,
        ...labels(group().tokens).map((token, i) =>
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
      const { name } = group(),
        keys = labels(group().key_tokens),
        token = labels(group().tokens)[word()];
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
              make(
                "tr",
                { "aria-current": i === model.get("key") && "true" },
                make("th", { scope: "row" }, key),
                bar(row[i]),
                average && bar(average[i]),
              ),
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
        (key() < 0 ? "" : `. “${keys[key()]}” gets ${percent(row[key()])}`) +
        `. ${on.length} of ${all.length} heads are on.`;
      drawMap(all);
      drawModelSays();
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
    const follow = () => {
      mark(grid, head());
      mark(words, word());
      drawReads(heads());
    };
    // As Python does.
    const entered = () => {
      model.set("head", head());
      model.set("word", word());
      model.set("key", -1);
      model.set("off", []);
      drawAll();
    };
    frame(el);
    el.append(
      layers,
      grid,
      slider("Temperature", model, "temperature", { min: 0.2, max: 4, step: 0.1 }, (value) => value.toFixed(1)),
      model_says,
      make("p", {}, "Point at a token, tap it, or move with the arrow keys. Or click a cell of the map: its row asks, its column is read."),
      words,
      says,
      make(
        "div",
        { class: "map-and-shares" },
        make("div", {}, make("div", { class: "note", "aria-hidden": "true" }, "Rows ask ↓, columns are read →"), map),
        reads,
      ),
    );
    drawAll();
    for (const trait of ["groups", "temperature"]) model.on("change:" + trait, drawAll);
    model.on("change:group", entered);
    for (const trait of ["head", "word", "key"]) model.on("change:" + trait, follow);
    model.on("change:off", switched);
  },
};
