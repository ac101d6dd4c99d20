import type { Aim, Figure } from './figure.ts'
import type { Machine } from './machine.ts'

export const printMachine = (machine: Machine): void => {
  console.log(
    [
      `${machine.cores} cores (${machine.processor}), ${machine.memoryGb} GB, ${machine.kernel}, ${machine.filesystem} on ${machine.folder}`,
      `Node ${machine.node}, SQLite ${machine.sqlite}, MariaDB ${machine.mariadb}, load before ${machine.loadBefore.join(' ')}`,
      '',
    ].join('\n'),
  )
}

export const printFigures = (figures: readonly Figure[]): void => {
  const rows = [['figure', 'ours', 'limit', 'ratio', 'aim', 'reached', 'the limit is'], ...figures.map(cells)]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  for (const row of rows)
    console.log(
      row
        .map((cell, at) => (at >= 1 && at <= 3 ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
        .join('  ')
        .trimEnd(),
    )
  console.log('')
  for (const { figure, note } of figures) if (note) console.log(`${figure}: ${note}.`)
}

const cells = ({ figure, unit, ours, limit, ratio, aim, reached }: Figure): string[] => [
  figure,
  withUnit(ours, unit),
  limit ? withUnit(limit.value, unit) : '',
  ratio === null ? '' : ratio.toFixed(2),
  aim ? tellAim(aim, unit) : '',
  reached === null ? (aim ? '?' : '') : reached ? 'yes' : 'NO',
  limit?.is ?? '',
]

const tellAim = (aim: Aim, unit: Figure['unit']) => {
  const [sign, value] = 'atLeast' in aim ? ['>=', aim.atLeast] : ['<=', aim.atMost]
  return aim.of === 'ratio' ? `ratio ${sign} ${value}` : `${sign} ${value}${unit === '%' ? '' : ' '}${unit}`
}

const withUnit = (value: number, unit: Figure['unit']) => {
  const number = value >= 1_000 ? Math.round(value).toLocaleString('en') : value.toFixed(unit === '%' ? 2 : 1)
  return unit === '%' || unit === '/s' ? `${number}${unit}` : `${number} ${unit}`
}
