// Pages with a canvas or an outline load this beside site.js, and canvas.css.
import "./flow-canvas/index.js"
