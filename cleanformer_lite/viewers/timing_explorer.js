// Recorded times: predict, reveal, then pick heads, length and direction.
export default {
  render({ model, el }) {
    const picked = () =>
      model.get("rows")[[model.get("direction"), model.get("length"), model.get("head_count")].join("|")] ?? [];
    const plain = (x) => (x >= 10 ? x.toFixed(0) : x.toFixed(2));
    const times = (x) => plain(x) + " times";
    const at = (trait, values) => ({ min: 0, max: model.get(values).length - 1, step: 1 });
    // A slider over the recorded values: it moves by place, and says the value.
    const pick = (label, trait, values) => {
      const input = make("input", {
        type: "range",
        ...at(trait, values),
        "aria-label": label,
        "data-key": trait,
        oninput: () => put(model, trait, model.get(values)[Number(input.value)]),
      });
      const output = make("output", {});
      const show = () => {
        input.value = model.get(values).indexOf(model.get(trait));
        output.textContent = String(model.get(trait));
        input.setAttribute("aria-valuetext", output.textContent);
      };
      model.on("change:" + trait, show);
      show();
      return make("label", { class: "slider" }, label + " ", input, output);
    };
    // One bar, and on it a line from quartile to quartile; `most` is the length of the axis.
    const bar = (one, most) => {
      const share = (x) => ((100 * x) / most).toFixed(2) + "%";
      const [lower, median, upper] = one.ratio;
      return make(
        "tr",
        {},
        make("th", { scope: "row" }, one.name),
        make(
          "td",
          {},
          make(
            "div",
            { class: "bars" },
            make("div", { class: "bar", style: `width: ${share(median)}` }),
            make("div", { class: "whisker", style: `left: ${share(lower)}; width: ${share(upper - lower)}` }),
          ),
        ),
        make("td", {}, plain(median)),
        make("td", {}, one.time),
        make("td", {}, String(one.operators ?? "")),
        make("td", {}, one.memory),
        make("td", {}, String(one.floors)),
      );
    };
    const heading = ["", "over fused", "", "time", "operators", "memory", "over floor"];
    const board = make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Times of all variants" });
    const says = make("p", { class: "says", "aria-live": "polite" });
    const ask = make("div", {});
    const reveal = make("button", {
      "data-key": "reveal",
      onclick: () => put(model, "revealed", !model.get("revealed")),
    });
    const guess = slider("The loop takes", model, "guess", { min: 0.5, max: 40, step: 0.5 }, times);
    const draw = () => {
      const revealed = model.get("revealed"),
        all = picked(),
        most = Math.max(1, ...all.map((one) => one.ratio[2])),
        loop = all.find((one) => one.name === "looped");
      reveal.textContent = revealed ? "Hide again" : "Reveal";
      board.hidden = !revealed;
      redraw(
        board,
        make(
          "table",
          { class: "times" },
          make("thead", {}, make("tr", {}, ...heading.map((text) => make(text ? "th" : "td", text ? { scope: "col" } : {}, text)))),
          make("tbody", {}, ...all.map((one) => bar(one, most))),
        ),
      );
      const where = `${model.get("head_count")} heads, length ${model.get("length")}, ${model.get("direction")}`;
      says.textContent = !all.length
        ? `${where}: not measured.`
        : !revealed
          ? `${where}. Predict: how many times the fused module's time does the loop take? Then reveal.`
          : loop
            ? `${where}: the loop takes ${times(loop.ratio[1])} the fused module's time (${loop.ratio[0]} to ${loop.ratio[2]}). You said ${times(model.get("guess"))}.`
            : `${where}: the loop was not measured.`;
    };
    frame(el);
    ask.append(guess, reveal);
    ask.className = "viewer-row";
    el.append(
      make("div", { class: "viewer-row" }, pick("Heads", "head_count", "heads"), pick("Length", "length", "lengths")),
      choice("Direction", [["forward", "forward"], ["forward and backward", "forward and backward"]], model, "direction"),
      ask,
      says,
      board,
      make("p", { class: "note" }, "The line on a bar goes from quartile to quartile. The floor is the least that arithmetic or memory would take there."),
      make("p", { class: "note" }, model.get("source")),
    );
    draw();
    for (const trait of ["rows", "direction", "length", "head_count", "guess", "revealed"])
      model.on("change:" + trait, draw);
  },
};
