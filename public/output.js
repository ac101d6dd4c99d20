// Output that grows: stay at its end while the reader is there, search and filter what is shown, copy it.
const mostPieces = 4_000
const mostMatches = 5_000
const isAtEnd = box => box.scrollHeight - box.scrollTop - box.clientHeight < 40

for (const box of document.querySelectorAll('[data-follow]')) {
  const output = box.firstElementChild
  const tools = box.parentElement.querySelector('[data-output-tools]')
  const following = followEnd(box, output)
  if (tools) useTools(tools, box, output, following)
}

/** Keeps the page light however much comes; while the reader looks at something above the end, nothing moves. */
function followEnd(box, output) {
  const state = { follows: true, held: false, changed: () => {} }
  const toEnd = () => {
    box.scrollTop = box.scrollHeight
  }
  toEnd()
  box.addEventListener('scroll', () => {
    state.follows = !state.held && isAtEnd(box)
    state.changed()
  })
  new MutationObserver(() => {
    const most = state.follows ? mostPieces : mostPieces * 3
    while (output.childNodes.length > most) output.firstChild.remove()
    state.changed()
    if (state.follows) toEnd()
  }).observe(output, { childList: true })
  return Object.assign(state, {
    toEnd,
    hold(held) {
      state.held = held
      state.follows = !held
      if (!held) toEnd()
      state.changed()
    },
  })
}

function useTools(tools, box, output, following) {
  const field = tools.elements.q
  const level = tools.elements.level
  const count = tools.querySelector('[role=status]')
  const filtered = Object.assign(document.createElement('pre'), { className: 'output', hidden: true })
  filtered.dataset.empty = count.dataset.none
  box.append(filtered)
  for (const part of tools.querySelectorAll('[data-script]')) part.hidden = false
  const { levelOf, isAtLeast } = readLevels(tools.dataset)
  let ranges = []
  let now = -1

  const shown = () => (filtered.hidden ? output : filtered)
  const filter = () => {
    filtered.hidden = level.value === ''
    output.hidden = !filtered.hidden
    if (!filtered.hidden) filtered.textContent = linesAtLeast(output.textContent, level.value, isAtLeast)
  }
  const search = () => {
    ranges = rangesOf(shown(), field.value.toLowerCase())
    now = Math.min(now, ranges.length - 1)
    show()
  }
  const show = () => {
    const asked = field.value !== ''
    count.textContent = !asked ? '' : ranges.length === 0 ? count.dataset.none : `${now < 0 ? '' : `${now + 1} / `}${ranges.length}`
    highlight('found', asked ? ranges : [])
    highlight('found-now', asked && ranges[now] ? [ranges[now]] : [])
  }
  const step = by => {
    if (ranges.length === 0) return
    // From the end back first: what is newest is nearest.
    now = now < 0 ? (by < 0 ? ranges.length - 1 : 0) : (now + by + ranges.length) % ranges.length
    reveal(box, following, ranges[now])
    show()
  }

  let soon
  following.changed = () => {
    showFollowing()
    if (field.value === '' && filtered.hidden) return
    if (soon) return
    soon = setTimeout(() => {
      soon = undefined
      filter()
      search()
      if (following.follows) following.toEnd()
    }, 150)
  }
  field.addEventListener('input', () => {
    now = -1
    search()
  })
  field.addEventListener('keydown', event => {
    // Without a match here the form is sent, and all of the output is searched.
    if (event.key !== 'Enter' || event.isComposing || ranges.length === 0 || field.value === '') return
    event.preventDefault()
    step(event.shiftKey ? 1 : -1)
  })
  for (const button of tools.querySelectorAll('[data-step]')) button.addEventListener('click', () => step(Number(button.dataset.step)))
  level.addEventListener('change', () => {
    filter()
    search()
    following.toEnd()
  })
  tools.querySelector('[data-last-error]').addEventListener('click', event => {
    const last = lastLine(output.textContent, line => levelOf(line) === 'error')
    if (!last || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    level.value = ''
    field.value = ''
    filter()
    search()
    const range = rangeAt(textNodes(output), last.start, last.end)
    reveal(box, following, range)
    highlight('found-now', [range])
    box.focus({ preventScroll: true })
  })

  const button = tools.querySelector('[data-follow-button]')
  const word = button.querySelector('span')
  const showFollowing = () => {
    const text = following.follows ? button.dataset.pause : button.dataset.resume
    if (word.textContent !== text) word.textContent = text
    const use = button.querySelector('use')
    const icon = use.getAttribute('href').replace(/#.*/, following.follows ? '#pause' : '#play')
    if (use.getAttribute('href') !== icon) use.setAttribute('href', icon)
  }
  button.addEventListener('click', () => following.hold(following.follows))
  tools.querySelector('[data-copy-output]').addEventListener('click', async ({ currentTarget }) => {
    await navigator.clipboard.writeText(shown().textContent)
    const said = currentTarget.querySelector('span')
    const before = said.textContent
    said.textContent = document.body.dataset.copied
    setTimeout(() => {
      said.textContent = before
    }, 2000)
  })
  // A browser that comes back to the page fills the fields in again.
  if (level.value !== '') filter()
  if (field.value !== '') search()
}

/** The same looks as the panel has for all of the output. */
function readLevels(data) {
  const order = ['error', 'warn', 'info']
  const own = new RegExp(data.lookOwn)
  const looks = order.map(level => [level, new RegExp(data[`look${level[0].toUpperCase()}${level.slice(1)}`])])
  const levelOf = line => {
    const beginning = line.slice(0, 200)
    const said = own.exec(beginning)?.[1]
    return said ? said.toLowerCase() : (looks.find(([, look]) => look.test(beginning))?.[0] ?? null)
  }
  return { levelOf, isAtLeast: (line, level) => order.slice(0, order.indexOf(level) + 1).includes(levelOf(line)) }
}

/** Lines that are as bad as this, each with what is moved in below it: the rest of its message, or where it was thrown. */
function linesAtLeast(text, level, isAtLeast) {
  let belongs = false
  return text
    .split('\n')
    .filter(line => {
      if (!belongs || !/^\s+\S/.test(line)) belongs = isAtLeast(line, level)
      return belongs
    })
    .join('\n')
}

function lastLine(text, looksSo) {
  for (let end = text.length; end >= 0; ) {
    const start = text.lastIndexOf('\n', end - 1) + 1
    if (looksSo(text.slice(start, end))) return { start, end }
    end = start - 1
  }
  return null
}

function textNodes(element) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT)
  const nodes = []
  for (let start = 0; walker.nextNode(); start += walker.currentNode.length) nodes.push({ node: walker.currentNode, start })
  return nodes
}

function rangesOf(element, wanted) {
  const text = element.textContent.toLowerCase()
  const nodes = textNodes(element)
  const ranges = []
  if (wanted === '' || text.length !== element.textContent.length) return ranges
  for (let at = text.lastIndexOf(wanted); at >= 0 && ranges.length < mostMatches; at = at === 0 ? -1 : text.lastIndexOf(wanted, at - 1))
    ranges.push(rangeAt(nodes, at, at + wanted.length))
  return ranges.reverse()
}

function rangeAt(nodes, start, end) {
  const placeOf = position => {
    let low = 0
    let high = nodes.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (nodes[middle].start <= position) low = middle
      else high = middle - 1
    }
    return [nodes[low].node, position - nodes[low].start]
  }
  const range = document.createRange()
  range.setStart(...placeOf(start))
  const [node, offset] = placeOf(end - 1)
  range.setEnd(node, offset + 1)
  return range
}

function reveal(box, following, range) {
  following.follows = false
  const line = range.getBoundingClientRect()
  const around = box.getBoundingClientRect()
  box.scrollTop += line.top - around.top - box.clientHeight / 2
  following.changed()
}

/** Marks text without touching it: what is marked stays text. A browser that cannot do so still jumps from match to match. */
function highlight(name, ranges) {
  if (!CSS.highlights) return
  if (ranges.length === 0) CSS.highlights.delete(name)
  else CSS.highlights.set(name, new Highlight(...ranges))
}
