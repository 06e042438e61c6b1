// A document a line in; out comes the document after everything was drawn, edited and undone.
import { createInterface } from "node:readline"
import { FlowModel } from "../../frontend/src/flow-canvas/model.js"
import { CATALOGUE } from "./catalogue.mjs"

for await (const line of createInterface({ input: process.stdin })) {
  const model = new FlowModel()
  model.catalogue = CATALOGUE
  model.load(JSON.parse(line))
  const paths = [...model.nodes.keys()]
  for (const path of paths) if (model.step(path)) model.face(path)
  const drawn = model.edges.length
  model.layout()
  model.move(paths, 8, 8)
  for (const path of paths.filter((each) => model.step(each)).slice(0, 3)) model.remove([path])
  while (model.undo());
  console.log(JSON.stringify({ doc: model.doc, drawn, nodes: paths.length }))
}
