// Predictions that wait, and quizzes. The page reads without this; with it, an answer stays closed
// until the reader has said one. What was said is kept on the reader's own machine, if it may be.
{
  const KEY = "cleanformer-lite";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, props = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), props);
    node.append(...children);
    return node;
  };
  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(KEY)) ?? {};
    } catch {
      return {};
    }
  };
  let kept = { said: {}, showAll: false, ...read() };
  const keep = () => {
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // A browser may refuse: then answers last as long as the page.
    }
  };

  const boxes = all(".ask");
  const predictions = boxes.filter((box) => box.matches(".predict"));
  const nameOf = (box) => box.dataset.ask;
  const waiting = (box) => all(".waits").filter((one) => one.dataset.waitsFor === nameOf(box));
  // An answer kept from before the page changed may name a choice that is gone.
  const answered = (box) => {
    const said = kept.said[nameOf(box)];
    if (box.matches("[data-viewer-asks]")) return said !== undefined;
    return said === null || (typeof said === "number" && (!choices(box).length || said in choices(box)));
  };
  // As toLocaleString would write it, which loads all that a browser knows of languages: a twentieth of a second.
  const number = (value) => {
    const [whole, part] = String(Number(Number(value).toPrecision(4))).split(".");
    return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? `.${part}` : "");
  };
  const unit = (box) => (box.dataset.unit ? " " + box.dataset.unit : "");
  const choices = (box) => all(".choice", box);
  const label = (button) => {
    const text = button.querySelector(".label").textContent.trim().replace(/\.$/, "");
    return /^[-\d.,× ]+$/.test(text) ? text : `“${text}”`;
  };

  // Near is a fifth of the slider's length, or a factor of one and a half.
  const isNear = (box, said) => {
    const answer = Number(box.dataset.answer);
    const { low, high, log } = box.querySelector(".ask-slider").dataset;
    return log === "1"
      ? Math.max(said / answer, answer / said) <= 1.5
      : Math.abs(said - answer) <= 0.1 * (high - low);
  };
  const isRight = (box, said = kept.said[nameOf(box)]) =>
    said != null && (box.querySelector(".ask-slider") ? isNear(box, said) : said === Number(box.dataset.right));

  const outcome = (box) => {
    const { answer, right } = box.dataset;
    if (answer != null) return `${box.matches("[data-measured]") ? "it was" : "it is"} ${number(answer)}${unit(box)}`;
    return `it is ${label(choices(box)[right])}`;
  };
  const verdict = (box) => {
    const said = kept.said[nameOf(box)];
    if (box.matches("[data-viewer-asks]")) return said ?? "";
    const came = outcome(box);
    if (said == null) return came[0].toUpperCase() + came.slice(1) + ".";
    const exact = !box.querySelector(".ask-slider") && isRight(box);
    const shown = box.querySelector(".ask-slider") ? number(said) + unit(box) : label(choices(box)[said]);
    if (exact && box.dataset.answer == null) return `You said ${shown}. Right.`;
    return `You said ${shown}; ${came}.${isRight(box) ? (exact ? " Right." : " Close.") : ""}`;
  };

  // A closed box that waits sends the reader to its question.
  const lock = (details, locked) => {
    const summary = details.querySelector("summary");
    summary.dataset.title ??= summary.textContent;
    summary.textContent = summary.dataset.title + (locked ? ": waits for your prediction" : "");
    details.toggleAttribute("data-locked", locked);
    details.open = !locked;
  };
  const mark = (button, right) => {
    button.dataset.state = right ? "right" : "wrong";
    button.querySelector(".tick").textContent = right ? "✓" : "✗";
  };
  const showPrediction = (box) => {
    const done = answered(box);
    const text = done ? verdict(box) : "";
    box.classList.toggle("answered", done);
    waiting(box).forEach((details) => {
      lock(details, !done && !kept.showAll);
      const said = details.querySelector(".you-said");
      if (said) said.textContent = text;
    });
    box.querySelector(":scope > .you-said").textContent = text;
    choices(box).forEach((button, at) => {
      button.setAttribute("aria-pressed", String(done && kept.said[nameOf(box)] === at));
      if (done) button.setAttribute("aria-disabled", "true");
      button.querySelector(".tick").textContent = "";
      delete button.dataset.state;
      if (done && at === Number(box.dataset.right)) mark(button, true);
      else if (done && at === kept.said[nameOf(box)]) mark(button, false);
    });
    all(".ask-more, .ask-slider button", box).forEach((button) => (button.hidden = done));
    const input = box.querySelector("input");
    if (input) input.disabled = done;
  };
  const say = (box, value) => {
    if (answered(box)) return;
    kept.said[nameOf(box)] = value;
    keep();
    // Where the button goes that was pressed, the focus stays with its box.
    const held = box.contains(document.activeElement) && !document.activeElement.matches(".choice");
    showPrediction(box);
    tally();
    if (held) box.focus({ preventScroll: true });
  };

  const asChoice = (item, onclick) => {
    const source = item.querySelector("summary, p");
    const text = make("span", { className: "label" }, ...source.childNodes);
    const button = make("button", { type: "button", className: "choice", onclick }, make("span", { className: "tick" }), text);
    button.firstChild.setAttribute("aria-hidden", "true");
    button.setAttribute("aria-pressed", "false");
    return button;
  };
  const buildSlider = (box, place) => {
    const low = Number(place.dataset.low), high = Number(place.dataset.high);
    const log = place.dataset.log === "1";
    const value = () =>
      log ? Number((low * (high / low) ** (input.value / 200)).toPrecision(2)) : Number(input.value);
    const input = make("input", { type: "range" });
    Object.assign(input, log ? { min: 0, max: 200, step: 1 } : { min: low, max: high, step: Number(place.dataset.step) });
    input.setAttribute("aria-label", "Your prediction");
    const output = make("output");
    const show = () => {
      output.textContent = number(value()) + unit(box);
      input.setAttribute("aria-valuetext", output.textContent);
    };
    const said = kept.said[nameOf(box)];
    if (said != null) input.value = log ? (200 * Math.log(said / low)) / Math.log(high / low) : said;
    else input.value = log ? 100 : low + (high - low) / 2;
    input.oninput = show;
    show();
    const button = make("button", { type: "button", onclick: () => say(box, value()) }, "That is my prediction");
    place.append(input, output, button);
  };
  const buildPrediction = (box) => {
    box.tabIndex = -1;
    all(".choices > li", box).forEach((item, at) => item.replaceChildren(asChoice(item, () => say(box, at))));
    const place = box.querySelector(".ask-slider");
    if (place) buildSlider(box, place);
    const more = make("button", { type: "button", className: "ask-more", onclick: () => say(box, null) }, "Just show me");
    box.querySelector(":scope > .you-said").before(more);
    waiting(box).forEach((details) =>
      details.querySelector("summary").addEventListener("click", (event) => {
        if (!details.hasAttribute("data-locked")) return;
        event.preventDefault();
        box.scrollIntoView({ block: "center" });
        box.querySelector("button, input").focus({ preventScroll: true });
      }),
    );
    showPrediction(box);
  };

  // A quiz may be tried again; the first answer counts.
  const showChoice = (box, item, at) => {
    const button = item.querySelector(".choice"), right = at === Number(box.dataset.right);
    button.setAttribute("aria-pressed", "true");
    button.setAttribute("aria-expanded", "true");
    mark(button, right);
    item.querySelector(".reason").hidden = false;
    box.querySelector(":scope > .you-said").textContent = right ? "Right." : "Not that one. You may try again.";
  };
  const buildQuiz = (box) => {
    all(".choices > li", box).forEach((item, at) => {
      const reason = item.querySelector(".reason");
      const button = asChoice(item, () => {
        if (!answered(box)) kept.said[nameOf(box)] = at;
        keep();
        showChoice(box, item, at);
        tally();
      });
      reason.hidden = true;
      reason.id = `${nameOf(box)}-${at}`;
      button.setAttribute("aria-expanded", "false");
      button.setAttribute("aria-controls", reason.id);
      item.replaceChildren(button, reason);
    });
    const items = all(".choices > li", box);
    if (answered(box)) showChoice(box, items[kept.said[nameOf(box)]] ?? items[0], kept.said[nameOf(box)]);
  };

  const tally = () => {
    const place = document.querySelector(".tally");
    if (!place) return;
    const count = (some, what, how) => {
      const tried = some.filter((box) => answered(box) && kept.said[nameOf(box)] != null);
      if (!some.length) return "";
      const right = tried.filter((box) => isRight(box)).length;
      return `${what}: ${tried.length} of ${some.length} answered, ${right} ${how}. `;
    };
    const quizzes = boxes.filter((box) => !predictions.includes(box));
    const text =
      count(
        predictions.filter((box) => !box.matches("[data-viewer-asks]")),
        "Your predictions on this page",
        "right or close",
      ) +
      count(quizzes, "Questions", "right at the first try");
    const forget = make("button", { type: "button", onclick: forgetAll }, "Forget my answers");
    forget.hidden = !boxes.some(answered);
    place.replaceChildren(text, forget);
  };
  const forgetAll = () => {
    boxes.forEach((box) => delete kept.said[nameOf(box)]);
    keep();
    location.reload();
  };

  const showAll = document.querySelector(".show-all button");
  const showShowAll = () => {
    showAll?.setAttribute("aria-pressed", String(kept.showAll));
    if (showAll) showAll.textContent = kept.showAll ? "Let answers wait again" : "Show all answers";
  };
  showAll?.addEventListener("click", () => {
    kept.showAll = !kept.showAll;
    keep();
    showShowAll();
    predictions.forEach(showPrediction);
  });

  // A viewer that asks says what the reader said: it answers the prediction above it.
  document.addEventListener("predicted", (event) => {
    const above = (box) => box.compareDocumentPosition(event.target) & Node.DOCUMENT_POSITION_FOLLOWING;
    const box = predictions.filter((box) => box.matches("[data-viewer-asks]") && above(box)).at(-1);
    if (!box) return;
    delete kept.said[nameOf(box)];
    say(box, String(event.detail));
  });

  // Paper cannot be clicked.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all(".waits:not([open])");
    closed.forEach((details) => (details.open = true));
  });
  addEventListener("afterprint", () => closed.forEach((details) => (details.open = false)));

  boxes.forEach((box) => (box.matches(".predict") ? buildPrediction : buildQuiz)(box));
  showShowAll();
  tally();
}
