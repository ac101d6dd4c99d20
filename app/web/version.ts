import { readFileSync } from 'node:fs'
import { inPackage } from '../paths.ts'

/** Of this package. */
export const version: string = JSON.parse(readFileSync(inPackage('package.json'), 'utf8')).version
