// Runs in the page of canvas.py: seconds of a layout, frames a second of a pan, of a zoom, and of a bare page.
async () => {
  const canvas = document.querySelector("flow-canvas")
  canvas.style.height = "860px"
  const next = () => new Promise(requestAnimationFrame)
  const rest = (ms) => new Promise((done) => setTimeout(done, ms))
  const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]
  const frames = async (count, act) => {
    for (let at = 0; at < 5; at++) act(at), await next()
    const began = performance.now()
    for (let at = 5; at < count; at++) act(at), await next()
    return (1000 * (count - 5)) / (performance.now() - began)
  }
  const attempts = async (run) => {
    const found = []
    for (let at = 0; at < 3; at++) found.push(await run()), await rest(200)
    return median(found)
  }
  const ground = canvas.querySelector(".fc-ground")
  const mouse = (type, target, x, y) => target.dispatchEvent(new MouseEvent(type, { bubbles: true, cancelable: true, view: window, button: 0, buttons: 1, clientX: x, clientY: y }))
  const pan = async () => {
    mouse("mousedown", ground, 900, 500)
    const found = await frames(60, (at) => mouse("mousemove", window, 900 - at * 9, 500 - at * 5))
    mouse("mouseup", window, 360, 200)
    return found
  }
  const zoom = async () => frames(60, (at) => ground.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true, view: window, deltaY: at < 30 ? -24 : 24, clientX: 700, clientY: 450 })))
  await rest(1000)
  const began = performance.now()
  canvas.layout()
  await next()
  await next()
  const layout = (performance.now() - began) / 1000
  await rest(800)
  const found = { layout, pan: await attempts(pan), zoom: await attempts(zoom) }
  const box = document.createElement("div")
  box.textContent = "moving"
  document.body.replaceChildren(box)
  await rest(300)
  found.bare = await attempts(() => frames(60, (at) => (box.style.transform = `translateX(${at}px)`)))
  return found
}
