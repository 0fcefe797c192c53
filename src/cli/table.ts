/** Rows of objects as aligned columns under their names. */

export function columns(rows: readonly object[]): string {
  const names = Object.keys(rows[0] ?? {})
  const cells = [names.map(name => name.toUpperCase()), ...rows.map(row => Object.values(row).map(String))]
  const widths = names.map((_, at) => Math.max(...cells.map(line => line[at]?.length ?? 0)))
  const line = (row: readonly string[]) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')
  return cells.map(row => line(row).trimEnd()).join('\n')
}
