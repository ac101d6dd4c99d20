/** The part of an action's name that an export gives: `dailySums` gives `daily-sums`, `exportCSV` gives `export-csv`, `daily_sums` stays. */
export const nameOfExport = (exportName: string): string =>
  exportName
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1-$2')
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
