import { rmSync } from 'node:fs'
import { isAlive, type ProcessIdentity } from './process-identity.ts'
import { runtimePaths } from './runtime-folder.ts'
import { readJson, writeJson, writeWhole } from './write-file.ts'

/** panel.pid: who the panel in the background is. A panel in a terminal, or under systemd, has none. */
export interface PanelInfo extends ProcessIdentity {
  version: string
  startedAt: number
  /** For people. */
  address: string
  /** Where it listens. */
  host: string
  port: number
  /** Its predecessors that still finish what they had begun. */
  leaving: ProcessIdentity[]
  /** Why the last reload left everything as it was; null when none was asked for, or this process came by one. */
  failedReload: { at: number; why: string } | null
}

export const writePanel = (runtime: string, info: PanelInfo): void => {
  const { panel, panelMainPid } = runtimePaths(runtime)
  writeJson(panel, info)
  // When the old one has left after a reload, systemd reads here who it is to watch.
  writeWhole(panelMainPid, `${info.pid}\n`)
}

/** @returns null when none lives; a file left behind by a killed one, or naming a reused pid, counts for nothing */
export const readPanel = (runtime: string): PanelInfo | null => {
  const info = readJson<PanelInfo>(runtimePaths(runtime).panel)
  return info && isAlive(info) ? info : null
}

/** All that live of the panel in the background: itself, and those that are leaving after a reload. */
export const panelProcesses = (runtime: string): ProcessIdentity[] => {
  const info = readJson<PanelInfo>(runtimePaths(runtime).panel)
  return info ? [info, ...info.leaving].filter(isAlive) : []
}

/** @param pid only its own: a successor may have written the file meanwhile. */
export const removePanel = (runtime: string, pid: number): void => {
  const { panel, panelMainPid } = runtimePaths(runtime)
  if (readJson<PanelInfo>(panel)?.pid === pid) for (const path of [panelMainPid, panel]) rmSync(path, { force: true })
}
