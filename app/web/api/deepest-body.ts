import { jsonLimits } from '../../api/check-json.ts'

/** Levels of a body: params lie two or three deep in it. */
export const deepestBody = jsonLimits.depth + 3
