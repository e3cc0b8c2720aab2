// Asks for the next slice of work as soon as the last one is there, and says how far it is.
export default {
  render({ model, el }) {
    const says = make("p", { class: "says", "aria-live": "polite" });
    const show = () => (says.textContent = model.get("says"));
    frame(el);
    el.append(says);
    show();
    model.on("change:says", show);
    model.on("change:done", () => put(model, "asked", model.get("done")));
  },
};
