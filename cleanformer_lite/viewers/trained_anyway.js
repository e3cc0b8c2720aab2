// Recorded loss curves: guess which modules are broken, then reveal.
const NS = "http://www.w3.org/2000/svg";
const drawn = (tag, props, ...children) => {
  const node = document.createElementNS(NS, tag);
  Object.entries(props).forEach(([key, value]) => node.setAttribute(key, value));
  node.append(...children);
  return node;
};
const TOP = 2.5,
  WIDTH = 120,
  HEIGHT = 60;
const curve = (losses, every, name) => {
  const y = (loss) => (HEIGHT * (1 - Math.min(loss, TOP) / TOP)).toFixed(1);
  const points = losses.map((loss, i) => `${((WIDTH * i) / (losses.length - 1)).toFixed(1)},${y(loss)}`).join(" ");
  const says = `${name}: loss ${losses[0].toFixed(2)} at first, ${losses[losses.length >> 1].toFixed(2)} after ${(losses.length >> 1) * every} steps, ${losses.at(-1).toFixed(2)} at last`;
  return drawn(
    "svg",
    { viewBox: `-2 -2 ${WIDTH + 4} ${HEIGHT + 4}`, role: "img", "aria-label": says },
    drawn("line", { x1: 0, x2: WIDTH, y1: y(Math.log(8)), y2: y(Math.log(8)), class: "chance" }),
    drawn("rect", { x: 0, y: 0, width: WIDTH, height: HEIGHT, class: "frame" }),
    drawn("polyline", { points, class: "curve" }),
  );
};

export default {
  render({ model, el }) {
    const runs = () => model.get("runs");
    const letter = (i) => String.fromCharCode(65 + i);
    const guessed = (i) => model.get("guesses").includes(i);
    const flip = (i) =>
      put(
        model,
        "guesses",
        guessed(i)
          ? model.get("guesses").filter((other) => other !== i)
          : [...model.get("guesses"), i].sort((a, b) => a - b),
      );
    const grid = make("div", { class: "curves" });
    const says = make("p", { class: "says", "aria-live": "polite" });
    const reveal = make("button", { onclick: () => put(model, "revealed", !model.get("revealed")) });
    const skip = make("button", { onclick: () => put(model, "revealed", true) }, "Just show me");
    const tests = make("div", {
      class: "tests",
      role: "group",
      "aria-label": "Tests: each turns the cards that it catches",
    });
    const picked = (test) => model.get("tests").includes(test);
    const pick = (test) =>
      put(
        model,
        "tests",
        picked(test) ? model.get("tests").filter((other) => other !== test) : [...model.get("tests"), test],
      );
    const catching = (run) => model.get("tests").filter((test) => run.caught.includes(test));
    const name = (run) => run.name.replaceAll("_", " ");
    // The fewest tests that together catch all that is broken.
    const fewest = () => {
      const all = Object.keys(model.get("sentences")),
        broken = runs().filter((run) => run.broken);
      const sets = Array.from({ length: 2 ** all.length }, (_, bits) => all.filter((_, i) => bits & (1 << i)));
      return Math.min(
        ...sets
          .filter((set) => broken.every((run) => set.some((test) => run.caught.includes(test))))
          .map((set) => set.length),
      );
    };
    const verdict = (run, i) =>
      make(
        "p",
        { class: "truth" },
        make(
          "strong",
          {},
          (guessed(i) === run.broken ? "✓ " : "✗ ") + (run.broken ? "broken: " : "right: ") + name(run),
        ),
        make("br"),
        run.what + " " + `Right answers: ${(100 * run.tasks[model.get("task")].accuracy).toFixed(0)} %.`,
      );
    const card = (run, i) => {
      const box = make("input", { type: "checkbox", "data-key": "guess" + i, onchange: () => flip(i) });
      box.checked = guessed(i);
      const caught = model.get("revealed") ? catching(run) : [];
      const turned = caught.length > 0;
      const node = make(
        "div",
        { class: "run" + (turned ? " caught" : "") },
        make("div", { class: "title" }, letter(i)),
        turned
          ? make(
              "div",
              { class: "back" },
              make("strong", {}, "Caught: " + name(run)),
              make("ul", {}, ...caught.map((test) => make("li", {}, "fails: " + model.get("sentences")[test]))),
            )
          : curve(run.tasks[model.get("task")].losses, model.get("every"), `Curve ${letter(i)}`),
        make("label", {}, box, `${letter(i)} is broken`),
        model.get("revealed") && !turned ? verdict(run, i) : null,
      );
      if (turned !== Boolean(before[i]) && !calm())
        node.animate([{ transform: "rotateY(90deg)" }, { transform: "none" }], { duration: 350, easing: "ease-out" });
      before[i] = turned;
      return node;
    };
    const before = [];
    const drawTests = () => {
      tests.hidden = !model.get("revealed");
      redraw(
        tests,
        make("p", {}, make("strong", {}, "No curve tells. Which tests do?"), " Catch all ten with the fewest."),
        make(
          "div",
          { class: "viewer-row" },
          ...Object.entries(model.get("sentences")).map(([test, sentence]) =>
            make(
              "button",
              { "data-key": "test" + test, "aria-pressed": String(picked(test)), onclick: () => pick(test) },
              sentence,
            ),
          ),
        ),
      );
    };
    const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
    const summary = () => {
      const all = runs(),
        broken = all.filter((run) => run.broken),
        last = (run) => run.tasks[model.get("task")].losses.at(-1);
      if (!model.get("revealed"))
        return `${model.get("guesses").length} of ${all.length} marked as broken. Mark all that you suspect, then reveal.`;
      if (model.get("tests").length) {
        const missed = broken.filter((run) => !catching(run).length);
        const result = `${count(model.get("tests").length, "test")}: ${broken.length - missed.length} of ${broken.length} caught, and none of the ${all.length - broken.length} right ones.`;
        if (missed.length) return `${result} Still at large: ${missed.map(name).join(", ")}.`;
        const best = fewest();
        return `${result} ${model.get("tests").length > best ? `It can be done with ${best}.` : "Fewer cannot do it. With PyTorch’s own module to compare with, two can: equal outputs, and the count of weights."}`;
      }
      const hits = broken.filter((run) => guessed(all.indexOf(run))).length,
        alarms = model.get("guesses").length - hits;
      return `${hits} hits of ${broken.length}, ${count(alarms, "false alarm")} of ${all.length - broken.length}. ${broken.filter((run) => last(run) < 0.1).length} of the broken end with a loss below 0.1.`;
    };
    const draw = () => {
      redraw(grid, ...runs().map(card));
      reveal.textContent = model.get("revealed") ? "Hide again" : "Reveal";
      reveal.disabled = !model.get("revealed") && !model.get("guesses").length;
      skip.hidden = !reveal.disabled;
      drawTests();
      says.textContent = summary();
    };
    frame(el);
    const broken = runs().filter((run) => run.broken).length;
    el.append(
      make(
        "p",
        {},
        `${runs().length} modules learned to name letters that stood earlier in a sequence. ${broken} of them are broken. ` +
          "A curve is the loss of one training. Mark each that looks broken.",
      ),
      choice(
        "They name",
        Object.keys(runs()[0].tasks).map((task) => [task, task]),
        model,
        "task",
      ),
      grid,
      make("div", { class: "viewer-row" }, reveal, skip),
      says,
      tests,
      make(
        "p",
        { class: "note" },
        `Loss from 0 to ${TOP} over the steps of training; the dashed line is guessing, ln 8. ${model.get("setting")}`,
      ),
    );
    draw();
    for (const trait of ["task", "guesses", "revealed", "runs", "tests"]) model.on("change:" + trait, draw);
  },
};
