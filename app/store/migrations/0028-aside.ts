import type { Ddl } from './ddl.ts'

export const name = '0028-aside'

/** What a queue has set aside is listed newest first, however much it is. */
export const statements = (ddl: Ddl): string[] =>
  ddl.more({
    name: 'bg_queue_item',
    columns: {},
    indexes: { bg_queue_item_aside: { columns: ['queue', 'aside_at'], where: 'aside_at IS NOT NULL' } },
  })
