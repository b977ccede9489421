"use strict";
// Draws the charts in the colours of the day, and in those of paper when the page is printed.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colours = night => (night
    ? { text: "#c9d1d9", grid: "#2c333b", ground: "#1d2127" }
    : { text: "#30363d", grid: "#e4e7eb", ground: "#ffffff" });

  function dressed(layout, night) {
    const { text, grid, ground } = colours(night);
    const dress = { ...layout, font: { ...layout.font, color: text, size: 12 } };
    dress.hoverlabel = { bgcolor: ground, bordercolor: grid, font: { color: text } };
    dress.annotations = (layout.annotations || []).map(note => ({ ...note, font: { ...note.font, color: text } }));
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(name)) {
        dress[name] = { ...layout[name], gridcolor: grid, linecolor: grid, zerolinecolor: grid, tickcolor: grid };
      }
    }
    return dress;
  }

  const charts = [...document.querySelectorAll(".chart")];
  const draw = night => Promise.all(charts.map(chart => {
    const { data, layout } = figures[chart.dataset.figure];
    return Plotly.react(chart, data, dressed(layout, night), { responsive: true, displaylogo: false });
  }));

  if (charts.length) {
    draw(dark.matches).then(() => { document.documentElement.dataset.drawn = charts.length; });
    dark.addEventListener("change", () => draw(dark.matches));
    addEventListener("beforeprint", () => { draw(false); charts.forEach(chart => Plotly.Plots.resize(chart)); });
    addEventListener("afterprint", () => { draw(dark.matches); charts.forEach(chart => Plotly.Plots.resize(chart)); });
  } else {
    document.documentElement.dataset.drawn = 0;
  }
})();
