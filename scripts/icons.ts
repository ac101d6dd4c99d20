import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/*
 * Makes public/icons.svg, the one sprite of the panel, from lucide-static (ISC licence): node scripts/icons.ts
 * A test finds icons that a view names and the sprite lacks.
 */
const names =
  `activity arrow-right ban bell braces bug calendar-clock chevron-down chevron-left chevron-right chevron-up circle-check circle-pause circle-stop circle-user circle-x clipboard-check
clock copy copy-plus download eye fast-forward file-spreadsheet flask-conical gauge heart-pulse history hourglass inbox infinity info
key-round keyboard layers list loader-circle log-in log-out mail message-square-text monitor moon octagon-alert package pause pencil play plus refresh-cw rocket rotate-cw
search send server shield shield-check shield-off sliders-horizontal smartphone sprout square square-terminal sun terminal timer-reset trash-2
triangle-alert undo-2 user-plus users wifi wifi-off wrench x`.split(/\s+/)

const root = join(import.meta.dirname, '..')

const symbol = (name: string): string => {
  const svg = readFileSync(join(root, 'node_modules/lucide-static/icons', `${name}.svg`), 'utf8')
  const shapes = svg.slice(svg.indexOf('>', svg.indexOf('<svg')) + 1, svg.lastIndexOf('</svg>'))
  return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${shapes.replace(/\s*\n\s*/g, '')}</symbol>`
}

writeFileSync(
  join(root, 'public/icons.svg'),
  `<svg xmlns="http://www.w3.org/2000/svg">\n<title>Icons</title>\n<!-- Icons of Lucide (lucide.dev), ISC License, Copyright (c) Lucide Contributors; made by scripts/icons.ts -->\n${names.map(symbol).join('\n')}\n</svg>\n`,
)
console.log(`public/icons.svg: ${names.length} icons`)
