// What is too wide scrolls inside its own frame: then, and only then, the keyboard can reach the frame.
{
  const frames = ".bd-article :is(pre, table, .pst-scrollable-table-container, .cell_output, .cell_output > .output, .math)";
  const scrolls = (frame) =>
    frame.scrollWidth > frame.clientWidth && /auto|scroll/.test(getComputedStyle(frame).overflowX);
  const sized = new ResizeObserver((entries) => {
    // Measured all together, then changed: a change in between would have the page laid out anew.
    const measured = entries.map(({ target }) => [target, scrolls(target)]);
    for (const [frame, wide] of measured)
      if (wide) frame.tabIndex = 0;
      else if (frame.tabIndex === 0) frame.removeAttribute("tabindex");
  });
  document.querySelectorAll(frames).forEach((frame) => sized.observe(frame));
}
