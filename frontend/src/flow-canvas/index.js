/**
 * <flow-canvas> edits a flow document; <flow-outline for="ID"> is the same flow as a tree, with the same model and history.
 *
 * The document is that of the API: `steps`, `edges` as texts ("a.port -> b"), `layout: {path: [x, y]}`, bodies of containers under
 * `with.body`. A **path** names a node: `classify`, or `rate.assess` for a step in the body of `rate`. Where a path comes from outside,
 * places of the document (`steps.rate.with.body.steps.assess.with.prompt`) and of runs (`rate[3].assess`) are understood, too.
 *
 *   <flow-canvas id="canvas" data-flow="refund" hx-morph-skip-children>      data-flow: under which the viewport is remembered
 *     <script type="application/json">{document}</script>                          Django: {{ document|json_script }}
 *     <script type="application/json" id="canvas-catalogue">{catalogue}</script>      any id that ends so
 *   </flow-canvas>
 *
 * attribute   readonly
 * properties  value       the document (an object); setting it begins a new history and tells nobody
 *             catalogue   {kinds: [{slug, label, group, icon?, description?, role?, ports, error?, defaults, container?}]}
 *                         group: Models | Tools | Logic | Human | Data | Sub-flows | Notes (gives the colour); ports: see model/ports.js;
 *                         defaults: the `with` of a new step; container: it has a body; icon: a name of static/icons.svg
 *             statuses    {path: state}   the ten states of a run
 *             problems    [{path, severity: "error" | "warning", message}]
 *             selection   [path]
 *             canUndo, canRedo, readonly (the last is settable)
 * methods     setStatus(path, state)      setFacts({path: {ports, title, line2, badges: {fallbacks, pin, approval}, types: {port: text}}})
 *             undo()  redo()              layout()  fit()  zoom(factor)
 *             add(kind, {x, y}?)          kind by slug; {x, y} in the window; else behind the selected step; gives the path
 *             insertMenu(path?, port?)    the searchable menu, as by the key N
 *             select(paths)  focusNode(path)  reveal(path)  search(text) → [path]
 *             set(path, pointer, value)   a form's edit: pointer "with.prompt", "/with/prompt" or a list; path "" is the flow itself;
 *                                         edits of one field within a second are one step of history; undefined removes the key
 *             replace(doc, why)           a new document as one step of history (the code tab)
 *             rename(path, key)           gives the reason if refused, else ""; edges, places and expressions follow
 *             remove(paths)  duplicate()  copy() → Promise  cut() → Promise  paste(text) → Promise<[path]>
 *             openSearch()
 * events      change   {text, doc, why}   one a gesture; `text` is the document as JSON; set, replace, undo and redo tell it, too
 *             select   {paths}            open {path}   (double click or Enter: the inspector is wanted)
 *             refused  {message}          also shown, and read out, in the canvas
 * dragging in An element with data-kind="SLUG" that is dragged onto the canvas adds a step there.
 */
export { FlowCanvas } from "./canvas.js"
export { FlowOutline } from "./outline.js"
