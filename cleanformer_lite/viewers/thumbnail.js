// A map in small: one dot for each weight, ink by its alpha.
const thumbnail = (weights) => {
  const canvas = make("canvas", { width: weights[0].length, height: weights.length, "aria-hidden": "true" });
  const ink = canvas.getContext("2d"),
    dots = ink.createImageData(canvas.width, canvas.height);
  weights.flat().forEach((weight, i) => (dots.data[4 * i + 3] = Math.round(255 * weight)));
  ink.putImageData(dots, 0, 0);
  return canvas;
};
