import { oneLine } from '../texts/control-characters.ts'
import { displayWidth, fit } from './display-width.ts'

export interface Column<Row> {
  title: string
  value(row: Row): string
  /** Numbers stand at the right. */
  right?: boolean
  /** May be cut when the terminal is too narrow, as a share of what is there; others never are. */
  flexible?: boolean
}

/**
 * Aligned columns under a head, two spaces between; wide characters count twice.
 * @param width cut to it, when it is given (a terminal's); nothing is cut without
 */
export const formatTable = <Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number | null = terminalWidth()): string => {
  const cells = rows.map(row => columns.map(column => oneLine(column.value(row))))
  const wanted = columns.map((column, index) => Math.max(displayWidth(column.title), ...cells.map(row => displayWidth(row[index]!)), 1))
  const widths = width === null ? wanted : narrowed(columns, wanted, width)
  const line = (row: readonly string[]) => {
    const text = row
      .map((cell, index) => fit(cell, widths[index]!, columns[index]!.right ?? false))
      .join(gap)
      .trimEnd()
    return width !== null && displayWidth(text) > width ? fit(text, width) : text
  }
  return [line(columns.map(column => column.title)), line(widths.map(one => '─'.repeat(one))), ...cells.map(line)].join('\n')
}

/** null when stdout is no terminal: then nothing is cut. */
export const terminalWidth = (): number | null => (process.stdout.isTTY ? process.stdout.columns || 80 : null)

const gap = '  '
const leastWidth = 8

// The widest flexible column gives way first, so that short ones stay whole.
const narrowed = <Row>(columns: readonly Column<Row>[], wanted: readonly number[], width: number): number[] => {
  const widths = [...wanted]
  let over = widths.reduce((sum, one) => sum + one, gap.length * (columns.length - 1)) - width
  while (over > 0) {
    const widest = columns.reduce((best, column, index) => (column.flexible && widths[index]! > (widths[best] ?? 0) ? index : best), -1)
    if (widest < 0 || widths[widest]! <= leastWidth) break
    widths[widest] = widths[widest]! - 1
    over--
  }
  return widths
}
