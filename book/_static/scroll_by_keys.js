// What is too wide scrolls inside its own frame: then, and only then, the keyboard can reach the frame.
{
  const frames = ".bd-article :is(table, .pst-scrollable-table-container, .cell_output, .math)";
  const scrolls = (frame) =>
    frame.scrollWidth > frame.clientWidth && /auto|scroll/.test(getComputedStyle(frame).overflowX);
  const stop = () => {
    // Measured all together, then changed: a change in between would have the page laid out anew.
    const measured = [...document.querySelectorAll(frames)].map((frame) => [frame, scrolls(frame)]);
    for (const [frame, wide] of measured)
      if (wide) frame.tabIndex = 0;
      else if (frame.tabIndex === 0) frame.removeAttribute("tabindex");
  };
  addEventListener("load", stop);
  addEventListener("resize", stop);
}
