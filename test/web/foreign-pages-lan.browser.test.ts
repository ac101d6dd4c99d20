import { test } from 'node:test'
import { chromiumMissing } from '../helpers/tools.ts'
import { attackPanel } from './foreign-pages.ts'

test(
  'no page of somebody else does anything to a panel with a name in the local network, without TLS',
  {
    skip: chromiumMissing(),
    timeout: 280_000,
  },
  t => attackPanel(t, 'http://panel.lan'),
)
