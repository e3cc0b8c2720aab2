// A module's layers as lamps: lit where a fact holds, dark where it does not.
export default {
  render({ model, el }) {
    const scan = () => model.get("scans")[model.get("scan")];
    const fact = () => model.get("facts")[model.get("fact")];
    const holds = (layer, at = model.get("fact")) => layer.facts[at] === "1";
    const pick = make("div", {
      class: "viewer-row",
      role: "group",
      "aria-label": "Modules: arrow keys move, Enter picks",
    });
    const ask = make("div", {
      class: "viewer-row",
      role: "group",
      "aria-label": "Questions: arrow keys move, Enter picks",
    });
    const tree = make("ul", { class: "tree" });
    const says = make("p", { class: "says", "aria-live": "polite" });
    const pickStop = arrows(pick),
      askStop = arrows(ask);
    const buttons = (group, trait, texts) =>
      redraw(
        group,
        ...texts.map((text, i) =>
          make(
            "button",
            {
              "data-key": trait + i,
              "aria-pressed": String(i === model.get(trait)),
              onclick: () => put(model, trait, i),
            },
            text,
          ),
        ),
      );
    const draw = () => {
      const { title, layers, agree } = scan(),
        [text, meaning] = fact(),
        lit = layers.filter((layer) => holds(layer));
      const sum = (some) => some.reduce((total, layer) => total + layer.numbers, 0);
      buttons(
        pick,
        "scan",
        model.get("scans").map((one) => one.title),
      );
      buttons(
        ask,
        "fact",
        model
          .get("facts")
          .map(([question], i) => `${question} ${layers.filter((layer) => holds(layer, i)).length}/${layers.length}`),
      );
      pickStop();
      askStop();
      tree.replaceChildren(
        ...layers.map((layer) =>
          make(
            "li",
            { class: holds(layer) ? "lit" : "dark" },
            make("span", { class: "lamp" }, holds(layer) ? "● yes" : "○ no"),
            make("span", { class: "mono name" }, layer.name),
            make("span", { class: "note" }, `${layer.kind}, ${layer.numbers} numbers`),
          ),
        ),
      );
      says.textContent =
        `${title}: ${text}? ${lit.length} of ${layers.length} layers, ${sum(lit)} of ${sum(layers)} numbers. ` +
        (lit.length < layers.length ? meaning + " " : "") +
        `Two calls ${agree ? "agree" : "disagree"}.`;
    };
    frame(el);
    el.append(make("p", {}, "Module:"), pick, make("p", {}, "Ask each layer:"), ask, says, tree);
    draw();
    for (const trait of ["scans", "scan", "fact"]) model.on("change:" + trait, draw);
  },
};
