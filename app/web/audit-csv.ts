/**
 * A table as CSV (RFC 4180): lines end with CRLF, what needs it stands in quotes. Text that a spreadsheet would take for a formula is led in by
 * an apostrophe, which such a program shows as text; numbers stay numbers.
 */
export const csvLine = (cells: readonly (string | number | null)[]): string => `${cells.map(csvCell).join(',')}\r\n`

const csvCell = (value: string | number | null): string => {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const led = isFormula.test(value) ? `'${value}` : value
  const text = led.replace(formulaWithin, "$1'")
  return /[",;\s]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

// Also after blanks, and in the wide forms that some programs take for the narrow ones.
const isFormula = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/

// Where a list is split at semicolons, as by Excel in many countries, a cell of its own can begin within ours.
const formulaWithin = /([;,\t\r\n][\s"]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g
