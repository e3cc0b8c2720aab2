// The frame around bertviz's script: what it takes from jQuery, d3 and require.js, and no more of them.
(function () {
  const root = document.querySelector('[data-head-view="/*@NAME@*/"]:not([data-drawn])');
  if (!root) return;
  root.dataset.drawn = "";
  const console = { log() {} };

  const d3 = {};
  (function (exports, module, define) {
    /*@D3@*/
  })(d3, {}, undefined);
  // Okabe and Ito's colours, which stay apart for colour-blind readers.
  d3.schemeCategory10 = [
    ["#0072b2", "#4aa8e8"], ["#b87700", "#f2b63c"], ["#007f5c", "#35cfa0"], ["#b3508b", "#eaa0ca"],
    ["#3a97cf", "#a8deff"], ["#d55e00", "#ff9355"], ["#8f8300", "#e6de5a"], ["#6f6f6f", "#bdbdbd"],
  ].map(([light, dark]) => `light-dark(${light}, ${dark})`);
  d3.scaleOrdinal = (colours) => (head) => colours[head % colours.length];
  // Used to pale the square of a head that is switched off.
  d3.hsl = (colour) => ({ l: 0, s: 0, toString: () => `color-mix(in srgb, ${colour} 20%, transparent)` });
  // bertviz looks names up in the whole document; here they are looked up in this view alone.
  const find = (selector) => root.querySelector(selector.split(" ").pop());
  const select = d3.select;
  d3.select = (target) => select(typeof target === "string" ? find(target) : target);

  const $ = (selector) => {
    const element = selector.startsWith("<") ? document.createElement("option") : find(selector);
    const wrapped = {
      element,
      empty: () => element?.replaceChildren(),
      append: (other) => element?.append(other.element),
      on: (event, listener) => element?.addEventListener(event, listener),
      change: () => wrapped,
      val: (value) => (element && (element.value = value), wrapped),
      text: (value) => (element && (element.textContent = value), wrapped),
    };
    return wrapped;
  };
  const require = { config() {} };
  const requirejs = (names, start) => start($, d3);

  // As wide as the page lets it be, with room for the longest word.
  const full = Math.max(320, Math.min(760, root.clientWidth || 680));
  const wide = Math.min(0.36 * full, Math.max(0.2 * full, 16 + 8.6 * /*@LONGEST@*/));

  /*@BERTVIZ@*/

  // What bertviz leaves out: names and keys for the squares, and arrow keys for the words. The last
  // keeps JupyterLab and Notebook from taking the keys for their cells.
  const keys = { tabindex: 0, "data-lm-suppress-shortcuts": "true" };
  const svg = root.querySelector("svg");
  svg.setAttribute("viewBox", `0 0 ${full} ${parseFloat(svg.getAttribute("height")) + 6}`);
  svg.removeAttribute("height");
  svg.style.maxWidth = full + "px";
  // Side by side rather than over each other, so that the colours of heads do not mix.
  const bundles = [...svg.querySelectorAll(".headAttention")];
  const apart = Math.min(3, 14 / bundles.length);
  bundles.forEach((bundle, head) =>
    bundle.setAttribute("transform", `translate(0 ${(head - (bundles.length - 1) / 2) * apart})`),
  );
  const squares = [...svg.querySelectorAll(":scope > g:last-child > rect")];
  const isOn = (square) => !square.getAttribute("fill").startsWith("color-mix");
  const labels = squares.map((_, head) =>
    d3.select(svg).append("text").text(head).attr("x", head * 20 + 10).attr("y", 14).attr("text-anchor", "middle")
      .attr("font-size", "11px").style("pointer-events", "none").attr("aria-hidden", "true"));
  // White or black, whichever stands out more from a colour: one of them always does by 4.5 to 1.
  const inkOn = (colour) => {
    const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
    const [red, green, blue] = parts.map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
  };
  const ink = (square) => {
    if (!isOn(square)) return "currentColor";
    const [light, dark] = square.getAttribute("fill").match(/#[0-9a-f]{6}/g).map(inkOn);
    return `light-dark(${light}, ${dark})`;
  };
  const tell = () => squares.forEach((square, head) => {
    square.setAttribute("aria-checked", isOn(square));
    labels[head].style("fill", ink(square));
  });
  squares.forEach((square, head) => {
    const named = { ...keys, role: "checkbox", "aria-label": `head ${head}` };
    Object.entries(named).forEach(([key, value]) => square.setAttribute(key, value));
    square.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      square.dispatchEvent(new MouseEvent(event.shiftKey ? "dblclick" : "click"));
      tell();
    });
    square.addEventListener("click", tell);
    square.addEventListener("dblclick", tell);
  });
  tell();

  const queries = svg.querySelector(".left");
  const words = [...queries.querySelectorAll("text")].map((text) => text.parentNode);
  const named = { ...keys, role: "group", "aria-label": "queries: follow one with the arrow keys" };
  Object.entries(named).forEach(([key, value]) => queries.setAttribute(key, value));
  let word = -1;
  queries.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    word = (word + step + words.length) % words.length;
    words[word].dispatchEvent(new MouseEvent("mouseover"));
  });
  queries.addEventListener("blur", () => queries.dispatchEvent(new MouseEvent("mouseleave")));
})();
