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
    const verdict = (run, i) =>
      make(
        "p",
        { class: "truth" },
        make(
          "strong",
          {},
          (guessed(i) === run.broken ? "✓ " : "✗ ") +
            (run.broken ? "broken: " : "right: ") +
            run.name.replaceAll("_", " "),
        ),
        make("br"),
        run.what + " " + `Right answers: ${(100 * run.tasks[model.get("task")].accuracy).toFixed(0)} %.`,
      );
    const card = (run, i) => {
      const box = make("input", { type: "checkbox", "data-key": "guess" + i, onchange: () => flip(i) });
      box.checked = guessed(i);
      return make(
        "div",
        {},
        make("div", { class: "title" }, letter(i)),
        curve(run.tasks[model.get("task")].losses, model.get("every"), `Curve ${letter(i)}`),
        make("label", {}, box, `${letter(i)} is broken`),
        model.get("revealed") ? verdict(run, i) : null,
      );
    };
    const draw = () => {
      const revealed = model.get("revealed"),
        all = runs(),
        last = (run) => run.tasks[model.get("task")].losses.at(-1);
      redraw(grid, ...all.map(card));
      reveal.textContent = revealed ? "Hide again" : "Reveal";
      const right = all.filter((run, i) => guessed(i) === run.broken).length,
        broken = all.filter((run) => run.broken);
      says.textContent = revealed
        ? `You judged ${right} of ${all.length} rightly. ${broken.length} are broken, and ${broken.filter((run) => last(run) < 0.1).length} of these end with a loss below 0.1.`
        : `${model.get("guesses").length} of ${all.length} marked as broken. Mark all that you suspect, then reveal.`;
    };
    frame(el);
    el.append(
      choice(
        "Task",
        Object.keys(runs()[0].tasks).map((task) => [task, task]),
        model,
        "task",
      ),
      grid,
      make("div", { class: "viewer-row" }, reveal),
      says,
      make(
        "p",
        { class: "note" },
        `Loss from 0 to ${TOP} over the steps of training; the dashed line is guessing, ln 8. ${model.get("setting")}`,
      ),
    );
    draw();
    for (const trait of ["task", "guesses", "revealed", "runs"]) model.on("change:" + trait, draw);
  },
};
